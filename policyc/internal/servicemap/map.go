package servicemap

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// What a picture may hold at the most. More is for no eyes, and takes minutes.
const (
	MaxEnds  = 2000
	MaxLines = 20_000
)

// Map is what is drawn. Lines name ends by their place in Ends.
type Map struct {
	Ends  []End
	Lines []Line
}

// End is a service, a network, or whoever is in none.
type End struct {
	Name string
	Kind string // a word for the style: service, network, host, outside
}

// Line is a pair that may connect, with what on.
type Line struct {
	From, To int
	Ports    string
}

// Scope is the part of a name before its slash: whose an end is. Empty is
// everybody's.
func (e End) Scope() string {
	scope, _, found := strings.Cut(e.Name, "/")
	if !found {
		return ""
	}
	return scope
}

// Of leaves the ends of one scope, whoever they may connect to, and whoever may
// connect to them.
func (m *Map) Of(scope string) *Map {
	ours := func(i int) bool { return m.Ends[i].Scope() == scope || m.Ends[i].Name == scope }
	near := make([]bool, len(m.Ends))
	for i := range m.Ends {
		near[i] = ours(i)
	}
	out := &Map{}
	for _, l := range m.Lines {
		if ours(l.From) || ours(l.To) {
			near[l.From], near[l.To] = true, true
			out.Lines = append(out.Lines, l)
		}
	}
	place := make([]int, len(m.Ends))
	for i, e := range m.Ends {
		if near[i] {
			place[i] = len(out.Ends)
			out.Ends = append(out.Ends, e)
		}
	}
	for i, l := range out.Lines {
		out.Lines[i].From, out.Lines[i].To = place[l.From], place[l.To]
	}
	return out
}

// Linked leaves the ends that have a line: the others say nothing.
func (m *Map) Linked() *Map {
	used := make([]bool, len(m.Ends))
	for _, l := range m.Lines {
		used[l.From], used[l.To] = true, true
	}
	out, place := &Map{}, make([]int, len(m.Ends))
	for i, e := range m.Ends {
		if used[i] {
			place[i] = len(out.Ends)
			out.Ends = append(out.Ends, e)
		}
	}
	for _, l := range m.Lines {
		out.Lines = append(out.Lines, Line{place[l.From], place[l.To], l.Ports})
	}
	return out
}

// fits tells whether a map can be drawn.
func (m *Map) fits() error {
	if len(m.Ends) > MaxEnds || len(m.Lines) > MaxLines {
		return fmt.Errorf("the map has %d ends and %d lines; a picture holds %d and %d: draw one scope (--scope NAME)",
			len(m.Ends), len(m.Lines), MaxEnds, MaxLines)
	}
	return nil
}

// scopes are the scopes of a map's ends, sorted, everybody's first.
func (m *Map) scopes() []string {
	var out []string
	for _, e := range m.Ends {
		out = append(out, e.Scope())
	}
	slices.SortFunc(out, cmp.Compare[string])
	return slices.Compact(out)
}
