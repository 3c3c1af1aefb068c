package policy

import "slices"

// Decide is what a ruleset means: a connection is allowed if both of its ends
// allow it, where it leaves and where it arrives. The rule named is that of the
// end that denies it, the first of two; else that of the end where it arrives,
// or where it leaves if that rule alone is stateless: so an allowed connection
// has no session if either rule wants none. from and to are the sets of either
// end.
func (rs *Ruleset) Decide(from, to []SetID, proto uint8, sport, dport uint16) (RuleID, Verdict) {
	left, verdict := rs.DecideAt(Egress, from, to, proto, sport, dport)
	if verdict == Deny {
		return left, verdict
	}
	rule, verdict := rs.DecideAt(Ingress, from, to, proto, sport, dport)
	if verdict == Allow && rs.Rules[left].Stateless && !rs.Rules[rule].Stateless {
		return left, verdict
	}
	return rule, verdict
}

// DecideAt reads the rules that speak at one end, in order: the first that
// matches decides, but for a pass, which takes its tier out of the reading, and
// for a deny under audit, which is as if it were not there. Where none decides
// the answer is deny, by NoRule.
func (rs *Ruleset) DecideAt(end Direction, from, to []SetID, proto uint8, sport, dport uint16) (RuleID, Verdict) {
	return rs.read(end, false, from, to, proto, sport, dport)
}

// WouldDeny returns the rule under audit that would decide a connection if all
// rules under audit were enforced; found is false if none would.
func (rs *Ruleset) WouldDeny(from, to []SetID, proto uint8, sport, dport uint16) (rule RuleID, found bool) {
	for _, end := range [2]Direction{Egress, Ingress} {
		rule, verdict := rs.read(end, true, from, to, proto, sport, dport)
		if verdict == Deny {
			return rule, rule != NoRule && rs.Rules[rule].Audit
		}
	}
	return NoRule, false
}

// read is DecideAt, with rules under audit enforced or not.
func (rs *Ruleset) read(end Direction, enforced bool, from, to []SetID, proto uint8, sport, dport uint16) (RuleID, Verdict) {
	left, passed := uint32(0), false // the tier that a pass has left
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if passed && r.Tier == left || !r.Speaks(end, enforced) || !r.matches(from, to, proto, sport, dport) {
			continue
		}
		if r.Verdict != Pass {
			return RuleID(i), r.Verdict
		}
		left, passed = r.Tier, true
	}
	return NoRule, Deny
}

// Speaks tells whether a rule is read at an end at all, with rules under audit
// enforced or not.
func (r *Rule) Speaks(end Direction, enforced bool) bool {
	return !r.Dormant && (enforced || !r.Audit) && r.Direction.SpeaksAt(end)
}

func (r *Rule) matches(from, to []SetID, proto uint8, sport, dport uint16) bool {
	return member(r.From, from) && member(r.To, to) &&
		slices.ContainsFunc(r.Ports, func(p Port) bool { return p.Matches(proto, sport, dport) })
}

func member(named, sets []SetID) bool {
	return slices.ContainsFunc(named, func(s SetID) bool { return slices.Contains(sets, s) })
}
