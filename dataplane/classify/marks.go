package classify

import (
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// Mark is what a rule asks of the switch beside its verdict.
type Mark uint8

const (
	// Logged: what it decides is to be reported.
	Logged Mark = 1 << iota
	// Stateless: what it allows opens no session.
	Stateless
	// audited: a deny under audit, of which WouldDeny alone reads.
	audited
)

// marksOf returns the marks of rules; nil if none has one.
func marksOf(rs *policy.Ruleset) []Mark {
	var out []Mark
	for i := range rs.Rules {
		r := &rs.Rules[i]
		mark := Mark(0)
		if r.Log {
			mark |= Logged
		}
		if r.Stateless {
			mark |= Stateless
		}
		if r.Audit {
			mark |= audited
		}
		if mark != 0 && out == nil {
			out = make([]Mark, len(rs.Rules))
		}
		if mark != 0 {
			out[i] = mark
		}
	}
	return out
}

// Marks returns the marks of a rule; NoRule has none.
func (e *Engine) Marks(rule policy.RuleID) Mark {
	if int64(rule) >= int64(len(e.marks)) {
		return 0
	}
	return e.marks[rule]
}

// WouldDeny returns what policy.Ruleset.WouldDeny does. It costs another
// lookup, in tables of their own, and nothing where no rule is under audit.
func (e *Engine) WouldDeny(from, to identity.ID, proto uint8, sport, dport uint16) (rule policy.RuleID, found bool) {
	if e.audit == nil {
		return policy.NoRule, false
	}
	rule, verdict := e.audit.Decide(from, to, proto, sport, dport)
	if verdict == policy.Deny && e.Marks(rule)&audited != 0 {
		return rule, true
	}
	return policy.NoRule, false
}
