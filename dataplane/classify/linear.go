package classify

import "bulkhead/dataplane/policy"

// Linear searches the rules in order: what an Engine must always agree with.
type Linear struct{ Rules *policy.Ruleset }

// Decide returns what policy.Ruleset.Decide says. from and to are the sets of
// either end.
func (l Linear) Decide(from, to []uint32, proto uint8, sport, dport uint16) (policy.RuleID, policy.Verdict) {
	return l.Rules.Decide(setIDs(from), setIDs(to), proto, sport, dport)
}

// WouldDeny returns what policy.Ruleset.WouldDeny says.
func (l Linear) WouldDeny(from, to []uint32, proto uint8, sport, dport uint16) (policy.RuleID, bool) {
	return l.Rules.WouldDeny(setIDs(from), setIDs(to), proto, sport, dport)
}

func setIDs(sets []uint32) []policy.SetID {
	out := make([]policy.SetID, len(sets))
	for i, s := range sets {
		out[i] = policy.SetID(s)
	}
	return out
}
