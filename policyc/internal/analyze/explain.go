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
	After          bool // it is not asked: another decided, or a pass left its tier
	Would          bool // it is under audit, and would have denied it
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

// Chain is what one end was asked, in the order of decision.
type Chain struct {
	End   policy.Direction // both: all rules are asked alike at both ends
	Steps []Step
}

// Explain lists the rules and what became of each: first where the connection
// leaves and then, if it may leave, where it arrives. Where all rules speak for
// both ends that is once.
func Explain(p *check.Policy, w Packet) []Chain {
	rs := lower.Policy(p, 0)
	oneEnd := func(r policy.Rule) bool { return r.Direction != policy.BothEnds }
	if !slices.ContainsFunc(rs.Rules, oneEnd) {
		steps, _ := explainAt(p, rs, policy.BothEnds, w)
		return []Chain{{policy.BothEnds, steps}}
	}
	leaves, allow := explainAt(p, rs, policy.Egress, w)
	if !allow {
		return []Chain{{policy.Egress, leaves}}
	}
	arrives, _ := explainAt(p, rs, policy.Ingress, w)
	return []Chain{{policy.Egress, leaves}, {policy.Ingress, arrives}}
}

func explainAt(p *check.Policy, rs *policy.Ruleset, end policy.Direction, w Packet) ([]Step, bool) {
	source := sourceRules(p)
	from, to := setsIn(rs, w.From), setsIn(rs, w.To)
	allow, by := eval.DecideAt(p, max(end, policy.Egress), w.From, w.To, w.Flow)
	audit := eval.WouldDeny(p, w.From, w.To, w.Flow)
	decided, passed, left := false, false, uint32(0)
	var out []Step
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if end != policy.BothEnds && !r.Direction.SpeaksAt(end) {
			continue
		}
		s := Step{
			Rule: source[r.Name], From: in(r.From, from), To: in(r.To, to),
			Port:  slices.ContainsFunc(r.Ports, func(q policy.Port) bool { return q.Matches(w.Flow.Proto, w.Flow.Src, w.Flow.Dst) }),
			After: decided || passed && r.Tier == left,
		}
		s.Decides = s.Rule == by && s.Matches() && !s.After
		s.Would = r.Audit && s.Rule == audit && s.Matches() && !s.After
		if s.Matches() && !r.Dormant && !s.After && r.Verdict == policy.Pass {
			passed, left = true, r.Tier
		}
		decided = decided || s.Decides
		out = step(out, s)
	}
	return out, allow
}

// step adds a step. What was lowered from one rule stands together, an entry for
// each of its destinations that calls the rule's ports otherwise: of those the
// one that misses least is the rule's.
func step(out []Step, s Step) []Step {
	last := len(out) - 1
	switch {
	case last < 0 || out[last].Rule != s.Rule:
		return append(out, s)
	case s.Decides || !out[last].Decides && s.Missing() < out[last].Missing():
		out[last] = s
	}
	return out
}

// sourceRules are the rules of a policy by name, with the defaults of tiers.
func sourceRules(p *check.Policy) map[string]*check.Rule {
	out := map[string]*check.Rule{}
	for _, r := range slices.Concat(p.Rules, p.Defaults[:]) {
		if r != nil {
			out[r.Name] = r
		}
	}
	return out
}

// setsIn returns the sets that a subject belongs to.
func setsIn(rs *policy.Ruleset, x check.Subject) []policy.SetID {
	if x.Labels == nil {
		return rs.OutsideOf(x.Addr)
	}
	return slices.Concat(rs.ServicesOf(x.Labels), rs.NetworksOf(x.Addr))
}

func in(named, sets []policy.SetID) bool {
	return slices.ContainsFunc(named, func(s policy.SetID) bool { return slices.Contains(sets, s) })
}
