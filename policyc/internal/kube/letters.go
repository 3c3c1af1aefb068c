package kube

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// quoteLetters puts quotes around y and n. YAML 1.1 takes them for truth
// values, so kubectl refuses the Namespace y; YAML 1.2 and most other writers
// take them for the letters that they are. No field that is read here is a
// truth value that people write so.
func (r *reader) quoteLetters(d document, root *yaml.Node) string {
	var places []*yaml.Node
	eachScalar(root, func(n *yaml.Node) {
		if n.Style == 0 && n.Anchor == "" && (n.Value == "y" || n.Value == "Y" || n.Value == "n" || n.Value == "N") {
			places = append(places, n)
		}
	})
	if len(places) == 0 {
		return d.text
	}
	first := Object{d.src, places[0], d.line}
	r.list.Warnf(first.At(), "kubectl takes %s without quotes for a truth value, and refuses it; here it is the letter", places[0].Value).
		With("write \"%s\"", places[0].Value)
	lines := yamlLines(d.text)
	for _, n := range slices.Backward(places) {
		line := []rune(lines[n.Line-1])
		lines[n.Line-1] = string(line[:n.Column-1]) + `"` + n.Value + `"` + string(line[n.Column:])
	}
	return strings.Join(lines, "")
}

// yamlLines cuts a text where YAML's reader counts a line: behind each of CR LF, LF,
// CR, and Unicode's own breaks (YAML 1.1 4.2).
func yamlLines(text string) (lines []string) {
	at := 0
	for i, r := range text {
		end := i + utf8.RuneLen(r)
		switch r {
		case '\r':
			if strings.HasPrefix(text[end:], "\n") {
				continue
			}
		case '\n', '\u0085', '\u2028', '\u2029':
		default:
			continue
		}
		lines, at = append(lines, text[at:end]), end
	}
	return append(lines, text[at:])
}

func eachScalar(n *yaml.Node, do func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode {
		do(n)
	}
	for _, child := range n.Content {
		eachScalar(child, do)
	}
}
