package analyze

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

// Holds tells whether a change speaks about a flow.
func (c *Change) Holds(f eval.Flow, named func(uint16) bool) bool { return holds(c.spans, f, named) }

// Holds tells whether a route speaks about a flow.
func (r *Route) Holds(f eval.Flow, named func(uint16) bool) bool { return holds(r.spans, f, named) }

func holds(spans []Span, f eval.Flow, named func(uint16) bool) bool {
	for _, p := range spans {
		if (p.Proto == uint16(f.Proto) || p.Proto == rest && !named(uint16(f.Proto))) && p.Lo <= f.Dst && f.Dst <= p.Hi && p.SrcLo <= f.Src && f.Src <= p.SrcHi {
			return true
		}
	}
	return false
}

// Cells calls f with each cell's witness, and what was found for each policy.
func (s *Space) Cells(f func(Packet, [2]Said)) {
	s.pairs(func(*cell, families) bool { return true }, func(p pair) {
		for _, q := range p.cell.pieces {
			if w, exists := s.packet(p.from, p.to, q.Span); exists {
				f(w, [2]Said{{q.allow[0], q.by[0]}, {q.allow[1], q.by[1]}})
			}
		}
	})
}

// Size is the number of atoms and classes.
func (s *Space) Size() (atoms, classes int) { return len(s.atoms), len(s.classes) }

// RuleKey is what a comparison takes a rule for.
func RuleKey(r *check.Rule) string { return ruleKey(r, 0, nil) }

// DiffWhole is Diff without a look at what changed.
func DiffWhole(old, new *check.Policy) (*Difference, error) {
	return diffOf([]*check.Policy{old, new}, []*check.Policy{old, new})
}

// BroadOneByOne is what is too broad, the plain way: of each rule all entries are
// looked at, and all cells.
func BroadOneByOne(s *Space) map[string]Packet {
	out := map[string]Packet{}
	all := len(s.atoms)
	for i, r := range s.policies[0].Rules {
		ours := func(f func(rule) bool) bool {
			return slices.ContainsFunc(s.rules, func(e rule) bool { return e.at == i && f(e) })
		}
		everybody := ours(func(e rule) bool { return s.atomsIn(e.from).count() == all && s.atomsIn(e.to).count() == all })
		if w := s.letBy(r); w != nil && r.Allow && (everybody || ours(func(e rule) bool { return e.matches(whole(rest)) })) {
			out[r.Name] = *w
		}
	}
	return out
}

// letBy is the first packet that is allowed and that a rule decides at an end.
func (s *Space) letBy(r *check.Rule) *Packet {
	var first *Packet
	s.Cells(func(w Packet, said [2]Said) {
		if first == nil && said[0].Allow {
			if _, leaves := eval.DecideAt(s.policies[0], policy.Egress, w.From, w.To, w.Flow); said[0].By == r || leaves == r {
				first = &w
			}
		}
	})
	return first
}

// MeasureOf is a round of lint that finds what is too broad.
func MeasureOf(s *Space) func() {
	l := &linter{s, make([]lintRule, len(s.policies[0].Rules))}
	return l.measure
}

// MeasureOneByOne is the same, an entry looked for in all of them for each of some
// rules.
func MeasureOneByOne(s *Space, rules int) (broad int) {
	for i := range rules {
		if slices.ContainsFunc(s.rules, func(e rule) bool { return e.at == i && s.atomsIn(e.from).count() == len(s.atoms) }) ||
			slices.ContainsFunc(s.rules, func(e rule) bool { return e.at == i && e.matches(whole(rest)) }) {
			broad++
		}
	}
	return broad
}

// EveryPair is the cells of a matrix, each pair asked in the space of everybody.
func EveryPair(p *check.Policy) ([][]Allowed, error) {
	s, err := New(p)
	if err != nil {
		return nil, err
	}
	ends := s.ends(p)
	cells := make([][]Allowed, len(ends))
	for i := range ends {
		for j := range ends {
			cells[i] = append(cells[i], s.meet(&ends[i], &ends[j]))
		}
	}
	return cells, nil
}
