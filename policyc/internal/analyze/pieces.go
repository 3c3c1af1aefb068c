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

// Span is a stretch of one protocol's ports, or of ICMP's type<<8|code, and of its
// source ports: a rectangle. What has no source ports has all of them.
type Span struct {
	Proto, Lo, Hi uint16
	SrcLo, SrcHi  uint16
}

// allSources tells whether a span is of every source port.
func (p Span) allSources() bool { return p.SrcLo == 0 && p.SrcHi == 65535 }

// within tells whether all of a span is in another.
func (p Span) within(q Span) bool {
	return p.Proto == q.Proto && q.Lo <= p.Lo && p.Hi <= q.Hi && q.SrcLo <= p.SrcLo && p.SrcHi <= q.SrcHi
}

// and is what is in both of two spans.
func (p Span) and(q Span) (Span, bool) {
	out := Span{p.Proto, max(p.Lo, q.Lo), min(p.Hi, q.Hi), max(p.SrcLo, q.SrcLo), min(p.SrcHi, q.SrcHi)}
	return out, p.Proto == q.Proto && out.Lo <= out.Hi && out.SrcLo <= out.SrcHi
}

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
		return eval.Flow{Proto: s.restIs, Dst: p.Lo, Src: p.SrcLo}
	}
	return eval.Flow{Proto: uint8(p.Proto), Dst: p.Lo, Src: p.SrcLo}
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
	spans := map[uint16][]Span{}
	for _, i := range rules {
		for _, q := range s.rules[i].ports {
			spans[q.Proto] = append(spans[q.Proto], spanOf(q))
		}
	}
	var out []Span
	for _, proto := range s.protos {
		if proto == rest {
			out = append(out, whole(rest))
			continue
		}
		out = append(out, grid(proto, spans[proto])...)
	}
	return out
}

// matches tells whether a rule's ports hold a span that was cut by them.
func (r *rule) matches(p Span) bool {
	return slices.ContainsFunc(r.ports, func(q policy.Port) bool {
		return q.Proto == policy.AnyProto || p.within(spanOf(q))
	})
}
