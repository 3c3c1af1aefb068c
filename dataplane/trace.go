package dataplane

import (
	"fmt"
	"strings"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// Recorder writes down what the walk does with a frame, a step a stage. With
// one, Run changes nothing: no session is opened, advanced or closed, nothing
// is learned, no counter moves; so a traced frame is told what would happen
// to it now, by the code and the tables that would do it.
type Recorder struct {
	Steps []Step
	// Rule is the name of the rule that decided; empty if none did.
	Rule string
	// Nearest says which allow rule a denied frame came nearest to, and how it
	// differs; empty if none is near.
	Nearest string
}

// Step is one line of a trace.
type Step struct {
	Stage string // parse, decap, identify, known, decide, forward, encap, end
	Text  string
}

// note adds a step. Callers test for nil first, so that the walk of a live
// frame formats nothing.
func (r *Recorder) note(stage, format string, args ...any) {
	r.Steps = append(r.Steps, Step{stage, fmt.Sprintf(format, args...)})
}

// ruleName returns the name of a rule, given as its id plus one.
func (x *walk) ruleName(rule uint32) string {
	if rule == 0 || x.s.Rules == nil || int(rule) > len(x.s.Rules.Rules) {
		return "(none)"
	}
	return x.s.Rules.Rules[rule-1].Name
}

// noteDecision writes down what the policy was asked, what it said, and which
// rule would have allowed what was denied.
func (x *walk) noteDecision(from, to identity.ID, rule policy.RuleID, verdict policy.Verdict, proto uint8, sport, dport uint16) {
	x.rec.note("decide", "from %s to %s", x.setNames(from), x.setNames(to))
	if rule != policy.NoRule {
		r := &x.s.Rules.Rules[rule]
		word := "allowed"
		if verdict == policy.Deny {
			word = "denied"
		}
		x.rec.Rule = r.Name
		x.rec.note("decide", "%s by rule %s (%s:%d)", word, r.Name, r.File, r.Line)
		if verdict == policy.Allow {
			return
		}
	}
	near, found := x.s.Rules.Nearest(setIDs(x.s.Identity.Sets(from)), setIDs(x.s.Identity.Sets(to)), proto, sport, dport)
	if found {
		x.rec.Nearest = near.Describe(x.s.Rules)
		x.rec.note("decide", "nearest: %s", x.rec.Nearest)
	}
}

// setNames names the services and networks of an identity.
func (x *walk) setNames(id identity.ID) string {
	var names []string
	for _, s := range x.s.Identity.Sets(id) {
		if policy.SetID(s) != policy.Any {
			names = append(names, x.s.Rules.Sets[s].Name)
		}
	}
	if names == nil {
		return "no service"
	}
	return strings.Join(names, "+")
}

func setIDs(sets []uint32) []policy.SetID {
	out := make([]policy.SetID, len(sets))
	for i, s := range sets {
		out[i] = policy.SetID(s)
	}
	return out
}
