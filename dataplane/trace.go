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
	// Audit is the name of the rule under audit that would have denied the
	// frame; empty if none would.
	Audit string
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

// noteDecision writes down what the policy was asked and what it said: the
// rule that decided; else the rule that comes nearest; and for a deny the allow
// that it beat.
func (x *walk) noteDecision(from, to identity.ID, rule policy.RuleID, verdict policy.Verdict, proto uint8, sport, dport uint16) {
	asked := policy.Port{Proto: uint16(proto), SrcHi: 65535, DstLo: dport, DstHi: dport}
	x.rec.note("decide", "asked: %s to %s, %s", x.setNames(from), x.setNames(to), asked)
	rs, source, dest := x.s.Rules, setIDs(x.s.Identity.Sets(from)), setIDs(x.s.Identity.Sets(to))
	x.rec.Rule, x.rec.Nearest = "", "" // of an answer that this one replaces
	if rule == policy.NoRule {
		x.rec.note("decide", "denied: no rule allows it")
		if near, found := rs.Nearest(source, dest, proto, sport, dport); found {
			x.rec.Nearest = near.Describe(rs)
			x.rec.note("decide", "nearest: %s (%s)", x.rec.Nearest, placeOf(&rs.Rules[near.Rule]))
		}
		return
	}
	r := &rs.Rules[rule]
	x.rec.Rule = r.Name
	if verdict == policy.Allow {
		x.rec.note("decide", "allowed by rule %s (%s)", r.Name, placeOf(r))
		if r.Stateless {
			x.rec.note("decide", "the rule is stateless: each packet is judged by itself, and so are replies")
		}
		x.noteRemarks(r)
		return
	}
	x.rec.note("decide", "denied by rule %s (%s)", r.Name, placeOf(r))
	x.noteRemarks(r)
	if beaten, found := rs.Overruled(source, dest, proto, sport, dport); found {
		b := &rs.Rules[beaten]
		x.rec.note("decide", "rule %s (%s) allows it, but %s", b.Name, placeOf(b), rs.Why(rule, beaten))
	}
}

// noteRemarks writes down whose rule it is and what it is for.
func (x *walk) noteRemarks(r *policy.Rule) {
	switch {
	case r.Owner != "" && r.Reason != "":
		x.rec.note("decide", "owner of the rule: %s; reason: %s", r.Owner, r.Reason)
	case r.Owner != "":
		x.rec.note("decide", "owner of the rule: %s", r.Owner)
	case r.Reason != "":
		x.rec.note("decide", "reason of the rule: %s", r.Reason)
	}
}

// noteAudit writes down that a rule under audit would have denied the frame.
func (x *walk) noteAudit(rule policy.RuleID) {
	r := &x.s.Rules.Rules[rule]
	x.rec.Audit = r.Name
	x.rec.note("decide", "rule %s (%s) would have denied it (audit)", r.Name, placeOf(r))
	x.noteRemarks(r)
}

// placeOf says where the source states a rule.
func placeOf(r *policy.Rule) string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

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
