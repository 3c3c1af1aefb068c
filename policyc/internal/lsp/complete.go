package lsp

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"bulkhead/policyc/internal/check"
)

// Kinds of completions, as the protocol numbers them.
const (
	kindModule   = 9  // a network
	kindProperty = 10 // a key
	kindValue    = 12 // a protocol
	kindClass    = 7  // a service
	kindKeyword  = 14 // a built-in name, a word of the language
)

// keys are those of each place: of the file, of its tables, and of the tables
// in these. The tests hold each of them to what check takes.
var keys = map[string][]string{
	"":            {"version", "include", "vars", "scope", "services", "networks", "endpoints", "tiers", "rules", "tests"},
	"scope":       {"name", "labels"},
	"services":    {"labels", "match", "any", "services", "ports"},
	"tiers":       {"default"},
	"networks":    {"cidrs", "except"},
	"endpoints":   {"labels", "addresses", "host", "several"},
	"rules":       {"name", "owner", "reason", "tier", "priority", "direction", "log", "audit", "stateless", "valid", "allow", "deny", "pass"},
	"rules.valid": {"from", "until"},
	"rules.allow": {"from", "to", "ports", "source_ports"},
	"rules.deny":  {"from", "to", "ports", "source_ports"},
	"rules.pass":  {"from", "to", "ports", "source_ports"},
	"tests":       {"name", "from", "to", "port", "source_port", "at", "expect"},
	"tests.from":  {"labels"},
	"tests.to":    {"labels"},
}

// words are what a string under a key can be.
var words = map[string][]string{
	"expect":    {"allow", "deny"},
	"default":   {"allow", "deny", "pass"},
	"tier":      check.TierNames[:],
	"direction": {"egress", "ingress"},
}

// flags are the keys of a rule that are true or not there.
var flags = []string{"log", "audit", "stateless"}

// place is where a cursor stands: in which table, behind which key, and whether
// in a string. It is read from the text before the cursor alone, for what stands
// there is seldom TOML yet.
type place struct {
	table  string // of the header, without the name: "rules"
	inner  string // the inline table that is open: "allow"
	key    string // the key whose value is being written
	inText bool
	begun  string // of the word
}

var (
	header  = regexp.MustCompile(`^\s*\[\[?\s*([A-Za-z0-9_-]+)`)
	keyOf   = regexp.MustCompile(`([A-Za-z0-9_-]+)\s*=\s*$`)
	wordEnd = regexp.MustCompile(`[A-Za-z0-9_.-]*$`)
)

// complete proposes what may stand at a position.
func (s *Server) complete(p *positionParams) (any, *fault) {
	d, fault := s.doc(p.TextDocument.URI)
	if fault != nil {
		return nil, fault
	}
	at := d.place(d.offset(p.Position))
	var items []completionItem
	switch {
	case at.inText && namesKey(at):
		items = s.nameItems(d)
	case at.inText && (at.key == "ports" || at.key == "port"):
		items = itemsOf(check.PortNames(), kindValue)
	case at.inText:
		items = itemsOf(words[at.key], kindKeyword)
	case at.table == "rules" && slices.Contains(flags, at.key):
		items = itemsOf([]string{"true"}, kindKeyword)
	case at.key == "":
		path := strings.Trim(at.table+"."+at.inner, ".")
		items = itemsOf(keys[path], kindProperty)
	}
	items = slices.DeleteFunc(items, func(i completionItem) bool { return !strings.HasPrefix(i.Label, at.begun) })
	if items == nil {
		items = []completionItem{}
	}
	return items, nil
}

func namesKey(at place) bool {
	ends := at.inner != "valid" && (at.table == "rules" || at.table == "tests") && (at.key == "from" || at.key == "to")
	return ends || at.table == "services" && at.key == "services"
}

func itemsOf(labels []string, kind int) []completionItem {
	var out []completionItem
	for _, l := range labels {
		out = append(out, completionItem{Label: l, Kind: kind})
	}
	return out
}

// nameItems are the services and networks of the policy, and the built-in ones.
func (s *Server) nameItems(d *document) []completionItem {
	var out []completionItem
	for _, name := range check.BuiltInNames() {
		out = append(out, completionItem{Label: name, Kind: kindKeyword, Detail: check.BuiltIn(name)})
	}
	seen := map[string]bool{}
	for _, other := range s.together(d) {
		for _, w := range other.indexed().words {
			if !w.declares || seen[w.text] {
				continue
			}
			seen[w.text] = true
			item := completionItem{Label: w.text, Kind: kindClass, Detail: "service"}
			if w.path[0] == "networks" {
				item.Kind, item.Detail = kindModule, "network"
			}
			out = append(out, item)
		}
	}
	slices.SortFunc(out, func(a, b completionItem) int { return cmp.Compare(a.Label, b.Label) })
	return out
}

// place reads the statement that the cursor is in, and the header above it.
func (d *document) place(off int) place {
	line := d.position(off).Line
	begin := line
	for begin > 0 && begin > line-maxStatement && !startsStatement(d.lineAt(begin)) {
		begin--
	}
	at := scanPlace(d.text[d.lines[begin]:off])
	if header.MatchString(d.lineAt(line)) {
		return place{key: "[", inText: at.inText} // in a header there is nothing to propose
	}
	for i := begin; i >= 0; i-- {
		if m := header.FindStringSubmatch(d.lineAt(i)); m != nil {
			at.table = m[1]
			break
		}
	}
	return at
}

// maxStatement is how many lines above the cursor a statement may begin.
const maxStatement = 200

func (d *document) lineAt(i int) string {
	end := len(d.text)
	if i+1 < len(d.lines) {
		end = d.lines[i+1]
	}
	return strings.TrimRight(d.text[d.lines[i]:end], "\r\n")
}

var statement = regexp.MustCompile(`^\s*(\[\[?\s*[A-Za-z"]|[A-Za-z0-9_.-]+\s*=|$)`)

func startsStatement(line string) bool { return statement.MatchString(line) }

// scanPlace reads a statement up to the cursor.
func scanPlace(text string) place {
	var at place
	var open []place // what each bracket stands behind
	start := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case at.inText && c == '\\':
			i++
		case at.inText && c == '"':
			at.inText = false
		case at.inText:
		case c == '"':
			at.inText, start = true, i+1
		case c == '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case c == '=':
			if m := keyOf.FindStringSubmatch(text[:i+1]); m != nil {
				at.key = m[1]
			}
		case c == '[' || c == '{':
			open = append(open, at)
			if c == '{' {
				at.inner, at.key = strings.Trim(at.inner+"."+at.key, "."), ""
			}
		case (c == ']' || c == '}') && len(open) > 0:
			at, open = open[len(open)-1], open[:len(open)-1]
		case c == ',' && len(open) > 0 && open[len(open)-1].key != at.key:
			at.key = ""
		case c == '\n' && len(open) == 0:
			at = place{}
		}
	}
	at.begun = wordEnd.FindString(text)
	if at.inText {
		at.begun = text[min(start, len(text)):]
	}
	return at
}
