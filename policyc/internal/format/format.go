// Package format writes a policy file in its one canonical form: what gofmt is
// to Go. Comments stay where they are, the meaning stays what it is, and
// formatting what is formatted changes nothing.
//
// A pair stands on its line as key = value; values in one line have one space
// inside braces and after commas. A value that holds comments keeps a line an
// element. One blank line stands before each header. Order is the writer's.
package format

import (
	"strings"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
	"bulkhead/policyc/internal/syntax"
)

// Source returns the canonical form of a policy file. nil means that there is
// none, and the list says why: the text is not valid TOML; or the form would
// not say the same, which would be a mistake of this package's, and loses
// nobody their policy.
func Source(src *diag.Source, list *diag.List) []byte {
	if !source.Valid(src, list) {
		return nil
	}
	tree, bad := syntax.Scan(src)
	if bad != nil {
		list.Errorf(src.Span(bad.Off, 1), "%s", bad.Msg)
		return nil
	}
	w := &writer{src: src}
	w.file(tree)
	out := []byte(w.out.String())
	if err := source.Same(src, diag.NewSource(src.Name, out)); err != nil {
		list.Errorf(src.Span(0, 0), "the canonical form would not say the same: %v", err)
		return nil
	}
	return out
}

type writer struct {
	src *diag.Source
	out strings.Builder
}

func (w *writer) file(tree *syntax.Tree) {
	for i := range tree.Statements {
		st := &tree.Statements[i]
		if i > 0 && (st.Kind != syntax.Pair || len(st.Lead) > 0 && st.Lead[0] == "") {
			w.out.WriteByte('\n')
		}
		w.comments(st.Lead, "")
		w.statement(st)
	}
	if len(tree.Statements) > 0 && len(tree.Tail) > 0 && tree.Tail[0] == "" && hasText(tree.Tail) {
		w.out.WriteByte('\n')
	}
	w.comments(tree.Tail, "")
}

func hasText(lines []string) bool { return strings.Join(lines, "") != "" }

// comments writes comment lines; a blank one between two is kept.
func (w *writer) comments(lines []string, indent string) {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for _, line := range lines {
		if line != "" {
			w.out.WriteString(indent + line)
		}
		w.out.WriteByte('\n')
	}
}

func (w *writer) statement(st *syntax.Statement) {
	switch st.Kind {
	case syntax.Table:
		w.out.WriteString("[" + key(st.Key) + "]")
	case syntax.ArrayTable:
		w.out.WriteString("[[" + key(st.Key) + "]]")
	default:
		w.out.WriteString(key(st.Key) + " = ")
		w.value(st.Value, "")
	}
	if st.Comment != "" {
		w.out.WriteString(" " + st.Comment)
	}
	w.out.WriteByte('\n')
}

func key(parts []syntax.Part) string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = syntax.QuoteKey(p.Name)
	}
	return strings.Join(names, ".")
}

func (w *writer) value(v *syntax.Value, indent string) {
	switch {
	case v.Kind != syntax.Array && v.Kind != syntax.Inline:
		w.out.WriteString(v.Raw(w.src))
	case len(v.Elements) == 0 && !v.Commented():
		w.out.WriteString(map[bool]string{true: "[]", false: "{}"}[v.Kind == syntax.Array])
	case v.Kind == syntax.Array && v.Commented():
		w.tall(v, indent)
	case v.Commented():
		w.out.WriteString(v.Raw(w.src)) // TOML 1.0 has no comments in inline tables
	default:
		w.flat(v, indent)
	}
}

func (w *writer) flat(v *syntax.Value, indent string) {
	open, end := "[", "]"
	if v.Kind == syntax.Inline {
		open, end = "{ ", " }"
	}
	w.out.WriteString(open)
	for i := range v.Elements {
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.element(&v.Elements[i], indent)
	}
	w.out.WriteString(end)
}

func (w *writer) element(e *syntax.Element, indent string) {
	if e.Key != nil {
		w.out.WriteString(key(e.Key) + " = ")
	}
	w.value(e.Value, indent)
}

// tall writes an array with an element a line.
func (w *writer) tall(v *syntax.Value, indent string) {
	inner := indent + "  "
	w.out.WriteString("[\n")
	for i := range v.Elements {
		e := &v.Elements[i]
		w.comments(e.Lead, inner)
		w.out.WriteString(inner)
		w.element(e, inner)
		w.out.WriteByte(',')
		if e.Comment != "" {
			w.out.WriteString(" " + e.Comment)
		}
		w.out.WriteByte('\n')
	}
	w.comments(v.Tail, inner)
	w.out.WriteString(indent + "]")
}
