package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bulkhead/vswitch/cli/nearest"
)

// Mistake is one thing wrong with a configuration.
type Mistake struct {
	File         string // empty: what is wrong is not in a file
	Line, Column int    // from 1; the column counts bytes
	Key          string // what it is about, as ports[1].mac; may be empty
	Text         string // what is wrong
	Cure         string // how to mend it
}

// Error writes the mistake as compilers do, with its cure.
func (m Mistake) Error() string {
	var b strings.Builder
	if m.File != "" {
		fmt.Fprintf(&b, "%s:%d:%d: ", m.File, m.Line, m.Column)
	}
	if m.Key != "" {
		b.WriteString(m.Key + ": ")
	}
	b.WriteString(m.Text + "; " + m.Cure)
	return b.String()
}

// Mistakes is everything wrong with a configuration, in the order of the file.
type Mistakes []Mistake

// Error writes a line a mistake.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].Error()
	}
	return strings.Join(lines, "\n")
}

func (m Mistakes) sort() {
	slices.SortStableFunc(m, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
}

// meant is the cure of a name that nothing has: the name most like it, or else
// what there is.
func meant(wrong string, names []string) string {
	if name := near(wrong, names); name != "" {
		return fmt.Sprintf("did you mean %q?", name)
	}
	names = slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" })
	switch {
	case len(names) == 0:
		return "there are none yet"
	case len(names) > 12:
		return fmt.Sprintf("name one of the %d there are", len(names))
	}
	return "there are " + strings.Join(names, ", ")
}

// near returns the name that a wrong one was probably meant to be; of one letter
// nobody can tell.
func near(wrong string, names []string) string {
	if len(wrong) < 2 || len(wrong) > maxName {
		return ""
	}
	return nearest.Name(wrong, names)
}
