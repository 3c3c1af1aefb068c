package kube

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"bulkhead/policyc/internal/diag"
)

// Object is where a manifest stands, down to each of its fields.
type Object struct {
	src  *diag.Source
	node *yaml.Node
	line int // of the text before the node's own first line
}

// At is where a field stands: names and indices lead to it, and where a field
// is not there the last one that is.
func (o Object) At(path ...any) diag.Span {
	n, key := o.node, o.node
	for _, step := range path {
		child, name := descend(n, step)
		if child == nil {
			break
		}
		n, key = child, name
	}
	return o.span(key)
}

// descend steps to a child; name is its key in a mapping, itself in a sequence.
func descend(n *yaml.Node, step any) (child, name *yaml.Node) {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil {
		return nil, nil
	}
	switch at := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && at < len(n.Content) {
			return n.Content[at], n.Content[at]
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == at {
				return n.Content[i+1], n.Content[i]
			}
		}
	}
	return nil, nil
}

func (o Object) span(n *yaml.Node) diag.Span {
	if n == nil {
		return o.src.Span(0, 0)
	}
	return lineSpan(o.src, o.line+n.Line, n.Column, len(n.Value))
}

// lineSpan points into a line. Lines and columns count from 1, columns in
// characters; n is in bytes.
func lineSpan(src *diag.Source, line, col, n int) diag.Span {
	off := 0
	for text := string(src.Text); line > 1; line-- {
		end := strings.IndexByte(text[off:], '\n')
		if end < 0 {
			break
		}
		off += end + 1
	}
	for ; col > 1 && off < len(src.Text) && src.Text[off] != '\n'; col-- {
		_, size := utf8.DecodeRune(src.Text[off:])
		off += size
	}
	return src.Span(off, min(max(n, 1), len(src.Text)-off))
}

var steps = regexp.MustCompile(`[^.\[\]]+|\[\d+\]`)

// path reads a path as decoders write it: spec.ingress[0].from.
func path(text string) []any {
	var out []any
	for _, step := range steps.FindAllString(text, -1) {
		if n, err := strconv.Atoi(strings.Trim(step, "[]")); err == nil && step[0] == '[' {
			out = append(out, n)
			continue
		}
		out = append(out, step)
	}
	return out
}
