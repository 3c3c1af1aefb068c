package classify

import (
	"slices"

	"bulkhead/dataplane/policy"
)

// Linear searches the rules in order: what an Engine must always agree with.
type Linear struct{ Rules *policy.Ruleset }

// Decide returns the first rule that names the connection, and what it says;
// policy.NoRule and Deny without one. from and to are the sets of either end.
func (l Linear) Decide(from, to []uint32, proto uint8, sport, dport uint16) (policy.RuleID, policy.Verdict) {
	for i := range l.Rules.Rules {
		r := &l.Rules.Rules[i]
		if member(r.From, from) && member(r.To, to) && onPort(r.Ports, proto, sport, dport) {
			return policy.RuleID(i), r.Verdict
		}
	}
	return policy.NoRule, policy.Deny
}

func member(named []policy.SetID, sets []uint32) bool {
	return slices.ContainsFunc(named, func(s policy.SetID) bool { return slices.Contains(sets, uint32(s)) })
}

func onPort(ports []policy.Port, proto uint8, sport, dport uint16) bool {
	return slices.ContainsFunc(ports, func(p policy.Port) bool { return p.Matches(proto, sport, dport) })
}
