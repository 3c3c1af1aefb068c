package crowd

import (
	"testing"

	"bulkhead/dataplane/policy"
)

func ends() *policy.Ruleset {
	service := func(name string) policy.Set {
		return policy.Set{Kind: policy.KindService, Name: name, Selector: policy.Selector{{{Key: "s", Op: policy.OpIn, Values: []string{name}}}}}
	}
	port := func(proto uint16, n uint16) []policy.Port {
		return []policy.Port{{Proto: proto, SrcHi: 65535, DstLo: n, DstHi: n}}
	}
	return &policy.Ruleset{
		Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}, service("a"), service("b")},
		Rules: []policy.Rule{
			{Name: "deny", Verdict: policy.Deny, From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: port(17, 23)},
			{Name: "allow", Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{2}, Ports: port(6, 80)},
		},
	}
}

// So many rules, an artifact can have them, and the ends' decisions on their
// ports are as before.
func TestAroundChangesNoDecision(t *testing.T) {
	for _, n := range []int{2, 3, 10, 1000, 20_000} {
		rs, err := Around(ends(), n, 1, 2)
		if err != nil || len(rs.Rules) != n {
			t.Fatalf("%d: %v", n, err)
		}
		if _, err := policy.Encode(rs); err != nil {
			t.Errorf("%d: %v", n, err)
		}
		for _, port := range []uint16{23, 80, 81, 19_999} {
			for _, proto := range []uint8{6, 17} {
				want, verdict := ends().Decide([]policy.SetID{0, 1}, []policy.SetID{0, 2}, proto, 1, port)
				got, said := rs.Decide([]policy.SetID{0, 1}, []policy.SetID{0, 2}, proto, 1, port)
				if said != verdict || want != policy.NoRule && got != want+policy.RuleID(n-2) {
					t.Errorf("%d rules, %d/%d: rule %d says %d, want %d, %d", n, proto, port, int32(got), said, int32(want), verdict)
				}
			}
		}
	}
	if _, err := Around(ends(), 1, 1, 2); err == nil {
		t.Error("made fewer rules than there are")
	}
}
