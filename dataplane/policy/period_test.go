package policy

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPeriodIsFromOnAndNotUntil(t *testing.T) {
	for _, c := range []struct {
		name      string
		p         Period
		now       int64
		has, over bool
	}{
		{"always", Period{}, 0, true, false},
		{"before_it_begins", Period{From: 10}, 9, false, false},
		{"as_it_begins", Period{From: 10}, 10, true, false},
		{"the_last_second", Period{10, 20}, 19, true, false},
		{"as_it_ends", Period{10, 20}, 20, false, true},
		{"no_beginning", Period{Until: 20}, 0, true, false},
		{"long_over", Period{Until: 20}, MaxTime, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if has, over := c.p.Has(c.now), c.p.Over(c.now); has != c.has || over != c.over {
				t.Errorf("has %v, over %v", has, over)
			}
		})
	}
}

func TestPeriodInWords(t *testing.T) {
	for p, want := range map[Period]string{
		{}:                       "always",
		{From: 1767225600}:       "from 2026-01-01T00:00:00Z on",
		{Until: MaxTime}:         "until 9999-12-31T23:59:59Z",
		{1767225600, 1782777600}: "from 2026-01-01T00:00:00Z until 2026-06-30T00:00:00Z",
	} {
		if got := p.String(); got != want {
			t.Errorf("%v: %q", p, got)
		}
	}
}

// Within Around every view is the same; at its ends one is not. Nothing of a
// ruleset without times is copied.
func TestAroundIsTheLongestPeriodOfOneView(t *testing.T) {
	dormant := func(rs *Ruleset, now int64) (out []bool) {
		for _, r := range rs.At(now).Rules {
			out = append(out, r.Dormant)
		}
		return out
	}
	same := func(a, b []bool) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	rapid.Check(t, func(t *rapid.T) {
		rs := &Ruleset{}
		for range rapid.IntRange(0, 5).Draw(t, "rules") {
			p := Period{rapid.Int64Range(0, 12).Draw(t, "from"), rapid.Int64Range(0, 12).Draw(t, "until")}
			if p.validate() == nil {
				rs.Rules = append(rs.Rules, Rule{Valid: p})
			}
		}
		now := rapid.Int64Range(0, 13).Draw(t, "now")
		around, here := rs.Around(now), dormant(rs, now)
		if !around.Has(now) {
			t.Fatalf("%v does not have %d", around, now)
		}
		for at := int64(0); at < 14; at++ {
			if around.Has(at) && !same(here, dormant(rs, at)) {
				t.Fatalf("%v: %d and %d differ", around, now, at)
			}
		}
		if around.From != 0 && same(dormant(rs, around.From-1), dormant(rs, around.From)) && !touching(rs, around.From) ||
			around.Until != 0 && same(dormant(rs, around.Until-1), dormant(rs, around.Until)) && !touching(rs, around.Until) {
			t.Fatalf("%v ends where nothing changes", around)
		}
		if !rs.Timed() && rs.At(now) != rs {
			t.Fatal("a ruleset without times was copied")
		}
	})
}

// touching tells whether a rule begins or ends at a time.
func touching(rs *Ruleset, at int64) bool {
	for _, r := range rs.Rules {
		if r.Valid.From == at || r.Valid.Until == at {
			return true
		}
	}
	return false
}

// A deny under audit decides nothing; it is named as what would have denied
// where it would have been the first to decide, at either end.
func TestAuditDeniesNothingAndIsNamed(t *testing.T) {
	audit := func(tier uint32, d Direction) Rule {
		r := say(tier, Deny, d)
		r.Audit = true
		return r
	}
	dormant := audit(0, BothEnds)
	dormant.Dormant = true
	for _, c := range []struct {
		name    string
		rules   []Rule
		rule    RuleID
		verdict Verdict
		would   RuleID
	}{
		{"before_an_allow", []Rule{audit(0, BothEnds), say(0, Allow, BothEnds)}, 1, Allow, 0},
		{"alone", []Rule{audit(0, BothEnds)}, NoRule, Deny, 0},
		{"where_it_arrives", []Rule{audit(0, Ingress), say(0, Allow, BothEnds)}, 1, Allow, 0},
		{"behind_an_allow", []Rule{say(0, Allow, BothEnds), audit(1, BothEnds)}, 0, Allow, NoRule},
		{"behind_a_deny", []Rule{say(0, Deny, BothEnds), audit(1, BothEnds)}, 0, Deny, NoRule},
		{"in_a_tier_that_was_left", []Rule{say(0, Pass, BothEnds), audit(0, BothEnds), say(1, Allow, BothEnds)}, 2, Allow, NoRule},
		{"not_valid_now", []Rule{dormant, say(0, Allow, BothEnds)}, 1, Allow, NoRule},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs := &Ruleset{Rules: c.rules}
			any := []SetID{Any}
			if rule, verdict := rs.Decide(any, any, 6, 0, 80); rule != c.rule || verdict != c.verdict {
				t.Errorf("rule %d, %s", int32(rule), verdict)
			}
			would, found := rs.WouldDeny(any, any, 6, 0, 80)
			if found != (c.would != NoRule) || found && would != c.would {
				t.Errorf("rule %d would have denied, %v", int32(would), found)
			}
		})
	}
}

// A connection has a session only if the rules of both ends want one; the rule
// that is named says which it is.
func TestTheNamedRuleIsStatelessIfEitherIs(t *testing.T) {
	free := func(d Direction) Rule {
		r := say(0, Allow, d)
		r.Stateless = true
		return r
	}
	for _, c := range []struct {
		name  string
		rules []Rule
		rule  RuleID
	}{
		{"where_it_leaves", []Rule{free(Egress), say(0, Allow, Ingress)}, 0},
		{"where_it_arrives", []Rule{say(0, Allow, Egress), free(Ingress)}, 1},
		{"both", []Rule{free(Egress), free(Ingress)}, 1},
		{"neither", []Rule{say(0, Allow, Egress), say(0, Allow, Ingress)}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			any := []SetID{Any}
			if rule, verdict := (&Ruleset{Rules: c.rules}).Decide(any, any, 6, 0, 80); rule != c.rule || verdict != Allow {
				t.Errorf("rule %d, %s", int32(rule), verdict)
			}
		})
	}
}

// The nearest rule of a denial may be one that is not valid now, and says so.
func TestNearestIsNotValidNow(t *testing.T) {
	any := []SetID{Any}
	rs := &Ruleset{Rules: []Rule{say(0, Allow, BothEnds)}}
	rs.Rules[0].Name, rs.Rules[0].Valid = "window", Period{Until: 1782777600}
	near, found := rs.At(1782777600).Nearest(any, any, 6, 0, 80)
	if got := near.Describe(rs); !found || got != "window, if it was valid (it is until 2026-06-30T00:00:00Z)" {
		t.Errorf("%q", got)
	}
}
