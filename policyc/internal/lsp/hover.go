package lsp

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/syntax"
)

// hover says what the word at a position means.
func (s *Server) hover(p *positionParams) (any, *fault) {
	d, fault := s.doc(p.TextDocument.URI)
	if fault != nil {
		return nil, fault
	}
	w, found := d.indexed().at(d.offset(p.Position))
	if !found {
		return nil, nil
	}
	text := ""
	switch last := w.path[len(w.path)-1]; {
	case w.names():
		text = s.aboutName(d, w)
	case w.isKey && w.path[0] == "rules" && len(w.path) == 2:
		text = aboutKeys[last]
	case w.isKey && w.path[0] == "tests" && last == "at":
		text = "the time that the test asks about; a test without one must hold at all times"
	case !w.isKey && w.path[0] == "rules" && last == "name":
		text = d.indexed().aboutRule(w)
	case w.isKey && (last == "source_ports" || last == "source_port"):
		text = aboutSource[last]
	case !w.isKey && (last == "source_ports" || last == "source_port"):
		text = aboutSourcePort(w.text)
	case !w.isKey && (last == "ports" || last == "port"):
		text = aboutPorts(w.text)
	}
	if text == "" {
		return nil, nil
	}
	return hover{markup{"markdown", text}, d.span(w.off, w.n)}, nil
}

// aboutKeys says what a rule says beside its verdict.
var aboutKeys = map[string]string{
	"log":       "the switch logs each session that the rule opens, and each packet that it denies, up to a rate",
	"audit":     "of a deny: the switch counts and logs what the rule would deny, and lets the rest of the policy decide",
	"stateless": "of an allow: it opens no session; each packet is judged by itself, and replies need a rule of their own",
	"valid":     "when the rule speaks: from the time `from` on, and at `until` not any more; either may be left out",
	"owner":     "whose rule it is, for traces, logs and tables",
	"reason":    "what the rule is for, for traces, logs and tables",
}

// aboutName shows a service's or network's own words, and what uses it.
func (s *Server) aboutName(d *document, w word) string {
	if means := check.BuiltIn(w.text); means != "" {
		return fmt.Sprintf("**%s**: %s", w.text, means)
	}
	var out strings.Builder
	uses := 0
	s.each(d, s.fresh(d, w), func(other *document, at word) {
		if at.declares {
			out.WriteString(other.indexed().definitionOf(at.text))
		} else {
			uses++
		}
	})
	if out.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("```toml\n%s```\nnamed in %d places", out.String(), uses)
}

// definitionOf is the statements that define a name.
func (x *index) definitionOf(name string) string {
	var out strings.Builder
	mine := false
	for i := range x.tree.Statements {
		st := &x.tree.Statements[i]
		path := names(st.Key)
		if st.Kind != syntax.Pair {
			mine = len(path) >= 2 && (path[0] == "services" || path[0] == "networks") && path[1] == name
			if mine {
				fmt.Fprintf(&out, "[%s]\n", keyText(st.Key))
			}
			continue
		}
		if mine {
			fmt.Fprintf(&out, "%s = %s\n", keyText(st.Key), st.Value.Raw(x.src))
		}
	}
	return out.String()
}

func keyText(key []syntax.Part) string {
	parts := names(key)
	for i, p := range parts {
		parts[i] = syntax.QuoteKey(p)
	}
	return strings.Join(parts, ".")
}

// aboutRule says a rule in a sentence.
func (x *index) aboutRule(name word) string {
	for _, r := range x.rules() {
		if !slices.ContainsFunc(r, func(w word) bool { return w.off == name.off }) {
			continue
		}
		var parts [4][]string
		verdict := ""
		for _, w := range r {
			if w.isKey || len(w.path) != 3 {
				continue
			}
			if i := slices.Index([]string{"from", "to", "ports", "source_ports"}, w.path[2]); i >= 0 {
				parts[i], verdict = append(parts[i], w.text), w.path[1]
			}
		}
		says := map[string]string{"allow": "may connect to", "deny": "may not connect to", "pass": "is left to the next tier, connecting to"}[verdict]
		if says == "" {
			return ""
		}
		text := fmt.Sprintf("%s %s %s on %s", list(parts[0]), says, list(parts[1]), list(parts[2]))
		if len(parts[3]) > 0 {
			text += " from source port " + list(parts[3])
		}
		return text
	}
	return ""
}

// rules are the words of each rule.
func (x *index) rules() [][]word {
	var out [][]word
	for _, w := range x.words {
		if w.path[0] != "rules" {
			continue
		}
		if w.isKey && len(w.path) == 1 || len(out) == 0 {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], w)
	}
	return out
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "**" + n + "**"
	}
	if n := len(quoted); n > 1 {
		return strings.Join(quoted[:n-1], ", ") + " or " + quoted[n-1]
	}
	return quoted[0]
}

// aboutPorts says what a word of ports stands for, as the tables call it.
func aboutPorts(text string) string {
	ports, problem := check.ParsePorts(text)
	if problem != nil {
		return problem.Error()
	}
	var out []string
	for _, p := range ports {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

// aboutSource says what the keys of source ports are.
var aboutSource = map[string]string{
	"source_ports": "the ports that the connection comes from, beside `ports` of tcp, udp and sctp; every one if it is left out",
	"source_port":  "the port that the test's connection comes from, or a range; a test without one must hold for every one",
}

// aboutSourcePort says what a word of source ports stands for.
func aboutSourcePort(text string) string {
	p, problem := check.ParseSource(text)
	switch {
	case problem != nil:
		return problem.Error()
	case p.SrcLo == p.SrcHi:
		return fmt.Sprintf("source port %d", p.SrcLo)
	}
	return fmt.Sprintf("source ports %d to %d", p.SrcLo, p.SrcHi)
}
