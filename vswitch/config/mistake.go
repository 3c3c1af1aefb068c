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
	File         string
	Line, Column int
	Key          string // what it is about, as ports[1].mac; may be empty
	Text         string // what is wrong, and how to mend it
}

// Error writes the mistake as compilers do.
func (m Mistake) Error() string {
	if m.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", m.File, m.Line, m.Column, m.Key, m.Text)
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
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// meant returns the name most like a wrong one, as a question, or nothing if
// none is like it.
func meant(wrong string, names []string) string {
	if name := nearest.Name(wrong, names); name != "" {
		return fmt.Sprintf("; did you mean %q?", name)
	}
	return ""
}
