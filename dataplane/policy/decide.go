package policy

import "slices"

// Decide is what a ruleset means: a connection is allowed if both of its ends
// allow it, where it leaves and where it arrives. The rule named is that of the
// end that denies it, the first of two; else that of the end where it arrives.
// from and to are the sets of either end.
func (rs *Ruleset) Decide(from, to []SetID, proto uint8, sport, dport uint16) (RuleID, Verdict) {
	rule, verdict := rs.DecideAt(Egress, from, to, proto, sport, dport)
	if verdict == Deny {
		return rule, verdict
	}
	return rs.DecideAt(Ingress, from, to, proto, sport, dport)
}

// DecideAt reads the rules that speak at one end, in order: the first that
// matches decides, but for a pass, which takes its tier out of the reading.
// Where none decides the answer is deny, by NoRule.
func (rs *Ruleset) DecideAt(end Direction, from, to []SetID, proto uint8, sport, dport uint16) (RuleID, Verdict) {
	left, passed := uint32(0), false // the tier that a pass has left
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if passed && r.Tier == left || !r.Direction.SpeaksAt(end) || !r.matches(from, to, proto, sport, dport) {
			continue
		}
		if r.Verdict != Pass {
			return RuleID(i), r.Verdict
		}
		left, passed = r.Tier, true
	}
	return NoRule, Deny
}

func (r *Rule) matches(from, to []SetID, proto uint8, sport, dport uint16) bool {
	return member(r.From, from) && member(r.To, to) &&
		slices.ContainsFunc(r.Ports, func(p Port) bool { return p.Matches(proto, sport, dport) })
}

func member(named, sets []SetID) bool {
	return slices.ContainsFunc(named, func(s SetID) bool { return slices.Contains(sets, s) })
}
