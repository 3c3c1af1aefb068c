package policy

import "testing"

// say is a rule for everything.
func say(tier uint32, v Verdict, d Direction) Rule {
	return Rule{Tier: tier, Verdict: v, Direction: d, From: []SetID{Any}, To: []SetID{Any}, Ports: []Port{{Proto: AnyProto, SrcHi: 65535, DstHi: 65535}}}
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		situation string
		rules     []Rule
		rule      RuleID
		verdict   Verdict
	}{
		{"no_rule", nil, NoRule, Deny},
		{"both_ends_allow_by_one_rule", []Rule{say(0, Allow, BothEnds)}, 0, Allow},
		{"only_egress_allows", []Rule{say(0, Allow, Egress)}, NoRule, Deny},
		{"only_ingress_allows", []Rule{say(0, Allow, Ingress)}, NoRule, Deny},
		{"each_end_allows_and_the_last_is_named", []Rule{say(0, Allow, Egress), say(0, Allow, Ingress)}, 1, Allow},
		{"ingress_denies", []Rule{say(0, Deny, Ingress), say(0, Allow, BothEnds)}, 0, Deny},
		{"both_deny_and_the_first_end_is_named", []Rule{say(0, Deny, Ingress), say(0, Deny, Egress)}, 1, Deny},
		{"a_pass_to_nothing", []Rule{say(0, Pass, BothEnds)}, NoRule, Deny},
		{"a_pass_leaves_its_tier_only", []Rule{say(0, Pass, BothEnds), say(0, Deny, BothEnds), say(1, Allow, BothEnds)}, 2, Allow},
		{"a_pass_at_one_end", []Rule{say(0, Pass, Egress), say(0, Deny, BothEnds), say(1, Allow, BothEnds)}, 1, Deny},
		{"two_passes", []Rule{say(0, Pass, BothEnds), say(1, Pass, BothEnds), say(1, Deny, BothEnds), say(2, Allow, BothEnds)}, 3, Allow},
		{"tier_zero_is_not_left_by_default", []Rule{say(0, Allow, BothEnds), say(1, Deny, BothEnds)}, 0, Allow},
	} {
		t.Run(c.situation, func(t *testing.T) {
			rs := &Ruleset{Rules: c.rules}
			if rule, verdict := rs.Decide([]SetID{Any}, []SetID{Any}, 6, 0, 80); rule != c.rule || verdict != c.verdict {
				t.Errorf("rule %d, %v; want %d, %v", int32(rule), verdict, int32(c.rule), c.verdict)
			}
		})
	}
}

// The nearest of a connection that one end denies is a rule of the other end;
// what a deny beats is named for the reason that it does.
func TestNearestAndWhyKnowEndsAndTiers(t *testing.T) {
	any := []SetID{Any}
	rs := &Ruleset{Rules: []Rule{say(0, Allow, Ingress)}}
	rs.Rules[0].Name = "in"
	near, found := rs.Nearest(any, any, 6, 0, 80)
	if got := near.Describe(rs); !found || got != "in, if it spoke for egress, too" {
		t.Errorf("nearest: %q", got)
	}
	rs = &Ruleset{Rules: []Rule{say(0, Pass, BothEnds), say(0, Allow, BothEnds)}}
	if near, found := rs.Nearest(any, any, 6, 0, 80); found {
		t.Errorf("a rule of a tier that was left is near: %+v", near)
	}
	deny := say(1, Deny, Ingress)
	deny.Name = "no"
	later := say(1, Allow, BothEnds)
	later.Precedence = 1
	rs = &Ruleset{Rules: []Rule{say(0, Allow, Egress), deny, say(1, Allow, BothEnds), later, say(2, Allow, BothEnds)}}
	if beaten, _ := rs.Overruled(any, any, 6, 0, 80); beaten != 2 {
		t.Errorf("beaten: %d", beaten)
	}
	for allow, want := range map[RuleID]string{2: "a deny beats every allow", 3: "no has an earlier priority", 4: "no is of an earlier tier"} {
		if got := rs.Why(1, allow); got != want {
			t.Errorf("%d: %s", allow, got)
		}
	}
}
