package analyze

import (
	"slices"
	"strings"
)

// A table of a hundred services is read team by team: ends of one scope stand
// together, and one scope can be asked for alone.

// Scope is the part of an end's name before its slash: whose it is. Empty is
// everybody's.
func (e End) Scope() string {
	scope, _, found := strings.Cut(e.Name, "/")
	if !found {
		return ""
	}
	return scope
}

// group is a run of ends of one scope.
type group struct {
	scope    string
	first, n int
}

// groups are the runs of a matrix: services come before networks, so a scope that
// has both has two.
func (m *Matrix) groups() []group {
	var out []group
	for i, e := range m.Ends {
		if last := len(out) - 1; last >= 0 && out[last].scope == e.Scope() {
			out[last].n++
			continue
		}
		out = append(out, group{e.Scope(), i, 1})
	}
	return out
}

// gaps has, for each end, a blank if a scope begins there and it is not the first.
func (m *Matrix) gaps() []string {
	out := make([]string, len(m.Ends))
	for _, g := range m.groups() {
		if g.first > 0 {
			out[g.first] = " "
		}
	}
	return out
}

// near are some ends, whoever they may connect to, and whoever may connect to them.
func (m *Matrix) near(of []bool) []bool {
	near := slices.Clone(of)
	for i, row := range m.Cells {
		for j := range row {
			near[i], near[j] = near[i] || of[j], near[j] || of[i]
		}
	}
	return near
}

// leave leaves some ends.
func (m *Matrix) leave(wanted []bool) *Matrix {
	out := &Matrix{}
	now := map[int]int{} // numbers, by what they were
	for i, e := range m.Ends {
		if wanted[i] {
			now[i] = len(out.Ends)
			out.Ends = append(out.Ends, e)
		}
	}
	for i, row := range m.Cells {
		if !wanted[i] {
			continue
		}
		left := Row{}
		for j, a := range row {
			if wanted[j] {
				left[now[j]] = a
			}
		}
		out.Cells = append(out.Cells, left)
	}
	return out
}
