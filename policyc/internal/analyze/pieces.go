package analyze

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

const (
	icmp4 = 1
	icmp6 = 58
	// rest stands for every protocol that no rule names: they are all alike.
	rest = policy.AnyProto
)

// Span is a stretch of one protocol's ports, or of ICMP's type<<8|code.
type Span struct{ Proto, Lo, Hi uint16 }

// families are those that a span can be of.
func (p Span) families() families {
	switch p.Proto {
	case icmp4:
		return only4
	case icmp6:
		return only6
	}
	return both
}

// cell is what the rules that a pair can meet say about every port.
type cell struct {
	rules  []int32
	pieces []piece
}

// piece is a span that no rule cuts, and what each policy says to it.
type piece struct {
	Span
	allow [2]bool
	by    [2]*check.Rule // nil: the default
}

// flow is the least corner of a span.
func (s *Space) flow(p Span) eval.Flow {
	if p.Proto == rest {
		return eval.Flow{Proto: s.restIs, Dst: p.Lo}
	}
	return eval.Flow{Proto: uint8(p.Proto), Dst: p.Lo}
}

// cell asks eval what a list of rules says; each list is asked about once, by
// the first pair that meets it.
func (s *Space) cell(rules []int32, witness func() (from, to check.Subject)) *cell {
	key := listKey(rules)
	if c, known := s.cells[key]; known {
		return c
	}
	c := &cell{rules: rules}
	s.cells[key] = c
	from, to := witness()
	few := make([]*check.Policy, len(s.policies))
	for i := range few {
		few[i] = s.only(i, rules)
	}
	for _, span := range s.cut(rules) {
		p := piece{Span: span}
		for i := range few {
			p.allow[i], p.by[i] = eval.Decide(few[i], from, to, s.flow(span))
		}
		c.pieces = append(c.pieces, p)
	}
	return c
}

// only is a policy with these of its rules alone. What cannot match cannot
// matter; TestCellsSayWhatEvalSays holds that to the whole policy.
func (s *Space) only(number int, rules []int32) *check.Policy {
	var at []int
	for _, i := range rules {
		if s.rules[i].policy == number {
			at = append(at, s.rules[i].at)
		}
	}
	slices.Sort(at)
	p := *s.policies[number]
	p.Rules = nil
	for _, i := range slices.Compact(at) {
		p.Rules = append(p.Rules, s.policies[number].Rules[i])
	}
	return &p
}

// cut cuts every protocol's ports wherever one of the rules begins or ends.
func (s *Space) cut(rules []int32) []Span {
	starts := map[uint16][]uint16{}
	for _, i := range rules {
		for _, q := range s.rules[i].ports {
			starts[q.Proto] = append(starts[q.Proto], q.DstLo)
			if q.DstHi < 65535 {
				starts[q.Proto] = append(starts[q.Proto], q.DstHi+1)
			}
		}
	}
	var out []Span
	for _, proto := range s.protos {
		at := []uint16{0}
		if proto != rest {
			at = append(at, starts[proto]...)
		}
		out = append(out, spansOf(proto, at)...)
	}
	return out
}

// spansOf are the stretches that begin at these ports.
func spansOf(proto uint16, starts []uint16) []Span {
	slices.Sort(starts)
	starts = slices.Compact(starts)
	out := make([]Span, len(starts))
	for i, lo := range starts {
		out[i] = Span{proto, lo, 65535}
		if i > 0 {
			out[i-1].Hi = lo - 1
		}
	}
	return out
}

// matches tells whether a rule's ports hold a span that was cut by them.
func (r *rule) matches(p Span) bool {
	return slices.ContainsFunc(r.ports, func(q policy.Port) bool {
		return q.Proto == policy.AnyProto || q.Proto == p.Proto && q.DstLo <= p.Lo && p.Hi <= q.DstHi
	})
}
