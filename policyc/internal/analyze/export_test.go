package analyze

import (
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
