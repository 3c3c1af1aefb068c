// Package format writes a policy file in its one canonical form: what gofmt is
// to Go. Comments stay where they are, the meaning stays what it is, and
// formatting what is formatted changes nothing.
//
// A pair stands on its line as key = value; values in one line have one space
// inside braces and after commas. A list that holds comments, or would be wider
// than a screen is, has a line an element. One blank line stands before each
// header. Order, quotes and notation of values are the writer's.
package format

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
	"bulkhead/policyc/internal/syntax"
)

// Source returns the canonical form of a policy file. nil means that there is
// none, and the list says why: the text is not valid TOML; or the form would
// not say the same, which would be a mistake of this package's, and loses
// nobody their policy.
//
// The text is read while it is written anew and that is read: an editor waits
// for it.
func Source(src *diag.Source, list *diag.List) []byte {
	before := make(chan *source.Reading)
	go func() { before <- source.Read(src, list) }()
	out, after, bad := written(src)
	was := <-before
	switch {
	case was == nil:
		return nil
	case bad != nil:
		list.Errorf(src.Span(bad.Off, 1), "%s", bad.Msg)
		return nil
	case bytes.Equal(out, src.Text):
		return out // it is what it was
	}
	err := errors.New("it is not valid TOML")
	if after != nil {
		err = was.Same(after)
	}
	if err != nil {
		list.Errorf(src.Span(0, 0), "the canonical form would not say the same: %v", err)
		return nil
	}
	return out
}

// written is the canonical form, and how it reads; of one that is the text itself
// that is known.
func written(src *diag.Source) ([]byte, *source.Reading, *syntax.Error) {
	tree, bad := syntax.Scan(src)
	if bad != nil {
		return nil, nil, bad
	}
	w := &writer{src: src}
	w.out.Grow(len(src.Text) + len(src.Text)/8) // most texts grow by some blank lines
	w.file(tree)
	out := []byte(w.out.String())
	if bytes.Equal(out, src.Text) {
		return out, nil, nil
	}
	var list diag.List
	return out, source.Read(diag.NewSource(src.Name, out), &list), nil
}

type writer struct {
	src     *diag.Source
	out     strings.Builder
	oneLine bool // the width of a list is asked for
}

func (w *writer) file(tree *syntax.Tree) {
	for i := range tree.Statements {
		st := &tree.Statements[i]
		switch {
		case i > 0 && st.Kind != syntax.Pair:
			w.out.WriteByte('\n')
		case i > 0:
			w.gap(st.Lead)
		}
		w.above(st.Lead, "")
		w.statement(st)
	}
	if len(tree.Statements) > 0 && hasText(tree.Tail) {
		w.gap(tree.Tail)
	}
	w.comments(tree.Tail, "")
}

// gap writes the blank line above something that had one.
func (w *writer) gap(lead []string) {
	if len(lead) > 0 && lead[0] == "" {
		w.out.WriteByte('\n')
	}
}

func hasText(lines []string) bool { return strings.Join(lines, "") != "" }

// above writes the comments above something. A blank line between the two is
// kept: the comment is not about what follows.
func (w *writer) above(lines []string, indent string) {
	w.comments(lines, indent)
	if n := len(lines); n > 1 && lines[n-1] == "" {
		w.out.WriteByte('\n')
	}
}

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
	case v.Kind == syntax.Array && (v.Commented() || w.wide(v)):
		w.tall(v, indent)
	case v.Commented():
		w.out.WriteString(v.Raw(w.src)) // TOML 1.0 has no comments in inline tables
	default:
		w.flat(v, indent)
	}
}

// maxWidth is how many characters of a list stand on one line.
const maxWidth = 72

// wide tells whether a list is too wide for one line. It asks how wide it would
// be, not how it was written: so there is one form.
func (w *writer) wide(v *syntax.Value) bool {
	if len(v.Elements) < 2 || w.oneLine {
		return false
	}
	line := &writer{src: w.src, oneLine: true}
	line.flat(v, "")
	return utf8.RuneCountInString(line.out.String()) > maxWidth
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
		if i > 0 {
			w.gap(e.Lead)
		}
		w.above(e.Lead, inner)
		w.out.WriteString(inner)
		w.element(e, inner)
		w.out.WriteByte(',')
		if e.Comment != "" {
			w.out.WriteString(" " + e.Comment)
		}
		w.out.WriteByte('\n')
	}
	if hasText(v.Tail) {
		w.gap(v.Tail)
	}
	w.comments(v.Tail, inner)
	w.out.WriteString(indent + "]")
}
