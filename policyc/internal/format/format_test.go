package format_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
	"bulkhead/policyc/internal/source"
)

// layout writes one policy with blanks, ends of lines and commas as they
// happen to fall: none of it may be seen in the canonical form.
type layout struct {
	t   *rapid.T
	eol string
	out strings.Builder
}

func (l *layout) pick(of ...string) string { return rapid.SampledFrom(of).Draw(l.t, "layout") }
func (l *layout) blank() string            { return l.pick("", " ", "\t", "   ") }
func (l *layout) write(parts ...string)    { l.out.WriteString(strings.Join(parts, "")) }

// line ends a line, with the comment behind it if there is one.
func (l *layout) line(comment string) {
	l.write(l.blank())
	if comment != "" {
		l.write(comment, l.blank())
	}
	l.write(l.eol)
}

// piece is a statement, or an element of a list, with its comments.
type piece struct {
	lead     []string // comment lines; "" is a blank one
	text     string
	list     []piece // if it is key = [...]
	tail     []string
	trailing string
}

func (l *layout) piece(p piece, sep string) {
	for _, c := range p.lead {
		if c == "" { // several blank lines are one
			for range rapid.IntRange(1, 3).Draw(l.t, "blanks") {
				l.line("")
			}
			continue
		}
		l.write(l.blank())
		l.line(c)
	}
	l.write(l.blank(), p.text)
	if p.list != nil {
		l.write(l.blank(), "=", l.blank(), "[")
		l.line("")
		for _, e := range p.list {
			l.piece(e, ",")
		}
		for _, c := range p.tail {
			l.line(c)
		}
		l.write("]")
	}
	l.write(l.blank(), sep)
	l.line(p.trailing)
}

func drawComment(t *rapid.T) string {
	return "# " + rapid.StringMatching(`[a-zä"'=\[\]{},#]{1,12}`).Draw(t, "comment")
}

// drawLead draws lines that stand above something: comments, and blank lines
// between them.
func drawLead(t *rapid.T) []string {
	var lead []string
	for range rapid.IntRange(0, 3).Draw(t, "lead") {
		if rapid.Bool().Draw(t, "blank") && (len(lead) == 0 || lead[len(lead)-1] != "") {
			lead = append(lead, "")
		}
		lead = append(lead, drawComment(t))
	}
	return lead
}

func maybeComment(t *rapid.T) string {
	if rapid.IntRange(0, 3).Draw(t, "has") > 0 {
		return ""
	}
	return drawComment(t)
}

// drawPolicy draws a policy of valid statements.
func drawPolicy(t *rapid.T) []piece {
	one := func(text string) piece { return piece{lead: drawLead(t), text: text, trailing: maybeComment(t)} }
	list := func(key string, items []string) piece {
		p := one(key)
		p.list = []piece{}
		for _, item := range rapid.SliceOfNDistinct(rapid.SampledFrom(items), 1, len(items), rapid.ID[string]).Draw(t, key) {
			p.list = append(p.list, one(`"`+item+`"`))
		}
		return p
	}
	all := []piece{one("version = 1"), one("[services.web]"), one(`labels = { "app" = 'shop', tier = "web" }`),
		one("[networks.office]"), list("cidrs", []string{"192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"})}
	for i := range rapid.IntRange(0, 3).Draw(t, "rules") {
		all = append(all, one("[[rules]]"), one(fmt.Sprintf("name = 'r%d'", i)))
		verb := rapid.SampledFrom([]string{"allow", "deny"}).Draw(t, "verb")
		if rapid.Bool().Draw(t, "inline") {
			all = append(all, one(verb+` = { from = ["any"], to = ["web", "office"], ports = ["tcp/443", "icmp/echo"] }`))
			continue
		}
		all = append(all, list(verb+".from", []string{"web", "office", "any"}), list(verb+".to", []string{"web", "office"}),
			list(verb+".ports", []string{"tcp/80", "tcp/443", "udp/53", "icmp/echo", "gre", "tcp/1000-2000", "tcp/3000-4000", "sctp"}))
	}
	return all
}

func render(t *rapid.T, all []piece) []byte {
	l := &layout{t: t, eol: rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol")}
	for _, p := range all {
		l.piece(p, "")
	}
	return []byte(l.out.String())
}

func formatted(t interface{ Fatalf(string, ...any) }, text []byte) []byte {
	var list diag.List
	out := format.Source(diag.NewSource("p.toml", text), &list)
	if list.Failed() {
		t.Fatalf("%s:\n%s", list.All[0].Line(), text)
	}
	return out
}

// comments are the comments of a generated text in their order; no string in
// it holds a '#'.
func comments(text []byte) []string {
	var out []string
	for _, c := range regexp.MustCompile(`#[^\r\n]*`).FindAll(text, -1) {
		out = append(out, strings.TrimRight(string(c), " \t"))
	}
	return out
}

// meaning is the hash of what a policy says.
func meaning(t interface{ Fatalf(string, ...any) }, text []byte) [32]byte {
	rs, findings := compile.Compile([]compile.Source{{Name: "p.toml", Text: text}}, compile.Options{})
	if findings.Failed() {
		var out strings.Builder
		_ = findings.Render(&out)
		t.Fatalf("%s%s", out.String(), text)
	}
	return rs.SourceHash
}

// One form: however a policy is laid out. Formatting it again changes nothing;
// it means the same; every comment is there, in its order.
func TestCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := drawPolicy(t)
		one, other := render(t, policy), render(t, policy)
		canonical := formatted(t, one)
		if got := formatted(t, other); !bytes.Equal(got, canonical) {
			t.Fatalf("two forms of one policy:\n%s----\n%s---- of\n%s----\n%s", canonical, got, one, other)
		}
		if again := formatted(t, canonical); !bytes.Equal(again, canonical) {
			t.Fatalf("formatted again:\n%s----\n%s", canonical, again)
		}
		if was, is := comments(one), comments(canonical); !slices.Equal(was, is) {
			t.Fatalf("comments were\n%q\nand are\n%q\nin\n%s", was, is, one)
		}
		if meaning(t, one) != meaning(t, canonical) {
			t.Fatalf("it means something else:\n%s----\n%s", one, canonical)
		}
		for _, line := range bytes.Split(canonical, []byte("\n")) {
			if bytes.HasSuffix(line, []byte(" ")) || bytes.HasSuffix(line, []byte("\r")) {
				t.Fatalf("a line ends in a blank: %q", line)
			}
		}
	})
}

// Lists in lists as deep as they may be: the width of each is asked for once.
func TestDeepListsAreFormattedAtOnce(t *testing.T) {
	deep := "a = " + strings.Repeat("[1, ", 30) + "2" + strings.Repeat("]", 30) + "\n"
	out := formatted(t, []byte(deep))
	if again := formatted(t, out); !bytes.Equal(again, out) {
		t.Errorf("%s\n%s", out, again)
	}
}

// What is in the tree is in canonical form: who learns from it learns that.
func TestTheExamplesAreCanonical(t *testing.T) {
	files, err := filepath.Glob("../../../examples/*/*policy*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if out := formatted(t, text); !bytes.Equal(out, text) {
			t.Errorf("%s is not: policyc fmt -w it", name)
		}
	}
}

// Any text is formatted to one that says the same and stays as it is, or is
// refused with a place.
func FuzzFormat(f *testing.F) {
	for _, text := range []string{
		"", "a=1", "# only", "a = [ # x\n1 # y\n, # z\n2 ]\n", "a = [[1,\n2], # in\n[]]", "[a]\n[a.b] # c\n\n\n# d",
		"a = { b = [1, # in an inline table\n2] }", "a = '''\n x\r\n'''", `"" = 1`, "a.b.'c d' = 2 # e", "a = [\n\n\n1\n\n,\n\n2\n\n]",
		"a = 1979-05-27 07:32:00Z", "\xef\xbb\xbfa = 1\r\n", "a = [1, 2,\n# t\n\n]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var list diag.List
		src := diag.NewSource("fuzz.toml", text)
		out := format.Source(src, &list)
		if list.Failed() {
			if strings.Contains(list.All[0].Message, "would not say the same") {
				t.Fatalf("%s\n%q", list.All[0].Line(), text)
			}
			return
		}
		if err := source.Same(src, diag.NewSource("out.toml", out)); err != nil {
			t.Fatalf("%v\n%q\n%q", err, text, out)
		}
		if again := format.Source(diag.NewSource("out.toml", out), &list); !bytes.Equal(again, out) {
			t.Fatalf("formatted again: %q\n%q\nof %q", out, again, text)
		}
	})
}
