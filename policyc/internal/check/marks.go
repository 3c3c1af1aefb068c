package check

import (
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
)

// marks reads what a rule says beside its verdict.
func (c *checker) marks(out *Rule, r *source.Rule) {
	out.Owner, out.Reason = c.remark(r.Owner, "owner"), c.remark(r.Reason, "reason")
	out.Log = c.mark(r.Log, !out.Pass, "a pass decides nothing, so there is nothing to log", "set log on the rules that decide behind it")
	out.Audit = c.mark(r.Audit, out.Verdict() == policy.Deny, "audit is for a rule that denies: it says what would be denied, and lets the rest of the policy decide",
		"take it out, or make the rule a deny; log = true reports what a rule decides")
	out.Stateless = c.mark(r.Stateless, out.Allow, "stateless is for a rule that allows: others open no session", "take it out")
	out.Valid = c.valid(&r.Valid)
}

// mark is a flag, which only some rules can have.
func (c *checker) mark(f source.Flag, fits bool, problem, cure string) bool {
	if !f.Value || f.Bad {
		return false
	}
	if !fits {
		c.list.Errorf(f.At, "%s", problem).With("%s", cure)
	}
	return fits
}

// remark is a text for people.
func (c *checker) remark(t source.Text, key string) string {
	switch {
	case t.At.Src == nil || t.Bad:
		return ""
	case t.Value == "":
		c.list.Errorf(t.At, "the %s is empty", key).With("say it, or take the key out")
	case !policy.GoodRemark(t.Value):
		c.list.Errorf(t.At, "%q is no %s", t.Value, key).With("characters that print, no blanks at the ends, at most %d bytes: it stands in a line of tables, logs and traces", policy.MaxRemark)
	}
	return t.Value
}

// valid is when a rule speaks.
func (c *checker) valid(v *source.Valid) policy.Period {
	if !v.Set || v.Bad {
		return policy.Period{}
	}
	if !v.From.Set && !v.Until.Set {
		c.list.Errorf(v.At, "valid has neither from nor until").With("valid = { until = 2026-06-30T00:00:00Z }, or take it out")
		return policy.Period{}
	}
	from, fine := c.second(v.From)
	until, fine2 := c.second(v.Until)
	if fine && fine2 && v.From.Set && v.Until.Set && from >= until {
		c.list.Errorf(v.Until.At, "the rule would end before it begins: it is never valid").With("until is the first moment at which the rule says nothing any more; name one after from")
		return policy.Period{}
	}
	return policy.Period{From: from, Until: until}
}

// second is a time in seconds since 1970; 0 if there is none.
func (c *checker) second(t source.Time) (int64, bool) {
	if !t.Set || t.Bad {
		return 0, !t.Bad
	}
	switch at := t.Value.Unix(); {
	case t.Value.Nanosecond() != 0:
		c.list.Errorf(t.At, "a fraction of a second").With("times are in whole seconds")
	case at <= 0 || at > policy.MaxTime:
		c.list.Errorf(t.At, "the time is not after 1970-01-01T00:00:00Z, or after the year 9999").With("leave out an end that is open")
	default:
		return at, true
	}
	return 0, false
}

// Expired warns of rules that will never speak again, as of a time. It is no
// part of a build, whose outcome must not depend on when it is done.
func Expired(p *Policy, now int64, list *diag.List) {
	for _, r := range p.Rules {
		if r.Valid.Over(now) {
			list.Warnf(r.At, "rule %q has expired: it was valid %s", r.Name, r.Valid).With("take it out, or give it another time")
		}
	}
}
