package analyze

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/lower"
)

// Step is a rule on the way to a decision, and which of its three conditions a
// connection meets.
type Step struct {
	Rule           *check.Rule
	From, To, Port bool
	Decides        bool
	After          bool // it comes after the one that decides: it is not asked
}

// Matches tells whether the rule matches the connection.
func (s *Step) Matches() bool { return s.From && s.To && s.Port }

// Missing counts the conditions that are not met.
func (s *Step) Missing() int {
	n := 3
	for _, met := range []bool{s.From, s.To, s.Port} {
		if met {
			n--
		}
	}
	return n
}

// Explain lists the rules in the order of decision, and what became of each.
func Explain(p *check.Policy, w Packet) []Step {
	_, by := eval.Decide(p, w.From, w.To, w.Flow)
	after := false
	var out []Step
	for _, r := range inOrder(p) {
		s := Step{Rule: r, From: inSome(r.From, w.From), To: inSome(r.To, w.To), Port: onSome(r.Ports, w.Flow), Decides: r == by, After: after}
		after = after || s.Decides
		out = append(out, s)
	}
	return out
}

// inOrder is the rules in the order in which the switch asks them.
func inOrder(p *check.Policy) []*check.Rule {
	at := map[string]*check.Rule{}
	for _, r := range p.Rules {
		at[r.Name] = r
	}
	var out []*check.Rule
	for _, r := range lower.Policy(p, 0).Rules {
		if src := at[r.Name]; src != nil {
			out = append(out, src)
			delete(at, r.Name)
		}
	}
	return out
}

func inSome(sets []check.Set, x check.Subject) bool {
	return slices.ContainsFunc(sets, func(set check.Set) bool { return eval.In(set, x) })
}

func onSome(ports []policy.Port, f eval.Flow) bool {
	return slices.ContainsFunc(ports, func(q policy.Port) bool {
		return q.Proto == policy.AnyProto || q.Proto == uint16(f.Proto) && q.DstLo <= f.Dst && f.Dst <= q.DstHi
	})
}
