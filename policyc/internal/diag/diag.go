package diag

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity tells whether a diagnostic stops the build.
type Severity uint8

const (
	// Error stops the build.
	Error Severity = iota
	// Warning does not: the policy means something, perhaps not what its
	// writer thinks.
	Warning
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Diagnostic is one finding.
type Diagnostic struct {
	Severity Severity
	At       Span
	Message  string
	// Suggest is the nearest right name, "" where none is near.
	Suggest string
	// Cure says what to write instead, "" where Message says it all.
	Cure string
	// Unused is what a warning says that nothing uses, "" of any other finding.
	Unused string
	// Notes are other places that matter, such as the first of two
	// definitions.
	Notes []Note
}

// Note is a second place of a diagnostic.
type Note struct {
	At      Span
	Message string
}

// List collects the findings of all passes over all files.
type List struct {
	All []Diagnostic
}

// Errorf adds an error and returns it for a cure, a suggestion or a note to
// be added. The pointer is good until the next addition.
func (l *List) Errorf(at Span, format string, args ...any) *Diagnostic {
	return l.add(Error, at, fmt.Sprintf(format, args...))
}

// Warnf adds a warning, otherwise like Errorf.
func (l *List) Warnf(at Span, format string, args ...any) *Diagnostic {
	return l.add(Warning, at, fmt.Sprintf(format, args...))
}

func (l *List) add(s Severity, at Span, message string) *Diagnostic {
	l.All = append(l.All, Diagnostic{Severity: s, At: at, Message: message})
	return &l.All[len(l.All)-1]
}

// Failed tells whether an error is among the findings.
func (l *List) Failed() bool {
	return l.Count(Error) > 0
}

// Count is the number of findings of one severity.
func (l *List) Count(s Severity) int {
	n := 0
	for i := range l.All {
		if l.All[i].Severity == s {
			n++
		}
	}
	return n
}

// Sort puts the findings in the order of the files as given, then by place.
func (l *List) Sort(files []*Source) {
	rank := make(map[*Source]int, len(files))
	for i, f := range files {
		rank[f] = i + 1
	}
	slices.SortStableFunc(l.All, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(rank[a.At.Src], rank[b.At.Src]),
			cmp.Compare(a.At.Off, b.At.Off),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Message, b.Message),
		)
	})
}

// With adds a cure.
func (d *Diagnostic) With(format string, args ...any) *Diagnostic {
	d.Cure = fmt.Sprintf(format, args...)
	return d
}

// Meant adds the nearest right name; "" adds nothing.
func (d *Diagnostic) Meant(name string) *Diagnostic {
	d.Suggest = name
	return d
}

// NotUsed says what nothing uses.
func (d *Diagnostic) NotUsed(name string) { d.Unused = name }

// Note adds a second place.
func (d *Diagnostic) Note(at Span, format string, args ...any) *Diagnostic {
	d.Notes = append(d.Notes, Note{At: at, Message: fmt.Sprintf(format, args...)})
	return d
}

// Line is the finding in one line, as compilers write it.
func (d *Diagnostic) Line() string {
	line := fmt.Sprintf("%s%s: %s", where(d.At), d.Severity, d.Message)
	if d.Suggest != "" {
		line += fmt.Sprintf("; did you mean %q?", d.Suggest)
	}
	return line
}

func where(at Span) string {
	if at.Src == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d: ", at.File(), at.Line(), at.Col())
}
