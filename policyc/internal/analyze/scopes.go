package analyze

import "strings"

// A table of a hundred services is read team by team: ends of one scope stand
// together, and one scope can be asked for alone.

// scope is the part of an end's name before its slash: whose it is. Empty is
// everybody's.
func (e End) scope() string {
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
		if last := len(out) - 1; last >= 0 && out[last].scope == e.scope() {
			out[last].n++
			continue
		}
		out = append(out, group{e.scope(), i, 1})
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

// Of leaves the ends of one scope, whoever they may connect to, and whoever may
// connect to them. It is empty if there are no ends of the scope.
func (m *Matrix) Of(scope string) *Matrix {
	var keep []int
	for i := range m.Ends {
		if m.near(i, scope) {
			keep = append(keep, i)
		}
	}
	out := &Matrix{}
	for _, i := range keep {
		var row []Allowed
		for _, j := range keep {
			row = append(row, m.Cells[i][j])
		}
		out.Ends, out.Cells = append(out.Ends, m.Ends[i]), append(out.Cells, row)
	}
	return out
}

// near tells whether an end is of a scope, or may meet one that is.
func (m *Matrix) near(i int, scope string) bool {
	if m.Ends[i].scope() == scope {
		return true
	}
	for j, e := range m.Ends {
		if e.scope() == scope && (m.Cells[i][j].mark() != "." || m.Cells[j][i].mark() != ".") {
			return true
		}
	}
	return false
}
