package budget

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/endpoints"
)

func in(key string, values ...string) policy.Requirement {
	return policy.Requirement{Key: key, Op: policy.OpIn, Values: values}
}

// Each alternative has a witness that it takes, unless nothing can meet it.
func TestWitness(t *testing.T) {
	for situation, c := range map[string]struct {
		must     policy.Requirements
		possible bool
	}{
		"equal":                   {policy.Requirements{in("a", "1"), in("b", "2")}, true},
		"one_of":                  {policy.Requirements{in("a", "1", "2")}, true},
		"one_of_and_not_first":    {policy.Requirements{in("a", "1", "2"), {Key: "a", Op: policy.OpNotIn, Values: []string{"1"}}}, true},
		"two_lists_share_the_end": {policy.Requirements{in("a", "1", "2"), in("a", "2", "3")}, true},
		"exists_but_not_that":     {policy.Requirements{{Key: "a", Op: policy.OpExists}, {Key: "a", Op: policy.OpNotIn, Values: []string{"1"}}}, true},
		"absent":                  {policy.Requirements{{Key: "a", Op: policy.OpNotExists}}, true},
		"two_values_at_once":      {policy.Requirements{in("a", "1"), in("a", "2")}, false},
		"there_and_not_there":     {policy.Requirements{in("a", "1"), {Key: "a", Op: policy.OpNotExists}}, false},
		"nothing_is_met_by_none":  {nil, false},
	} {
		labels, possible := witness(c.must)
		if possible != c.possible || possible && !c.must.Met(labels) {
			t.Errorf("%s: %v, %v", situation, labels, possible)
		}
	}
}

func port(proto, lo, hi uint16) policy.Port {
	return policy.Port{Proto: proto, SrcHi: 65535, DstLo: lo, DstHi: hi}
}

// office is two services that overlap, and two networks in each other.
func office() *policy.Ruleset {
	prefix := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	return &policy.Ruleset{
		Sets: []policy.Set{
			{Name: "any"},
			{Kind: policy.KindService, Name: "db", Selector: policy.Selector{{in("tier", "db")}}},
			{Kind: policy.KindService, Name: "shop", Selector: policy.Selector{{in("app", "shop")}}},
			{Kind: policy.KindNetwork, Name: "desk", Prefixes: prefix("10.0.0.0/24")},
			{Kind: policy.KindNetwork, Name: "house", Prefixes: prefix("10.0.0.0/8")},
		},
		Rules: []policy.Rule{{Name: "r", Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{2}, Ports: []policy.Port{port(6, 80, 80)}}},
	}
}

func TestPopulation(t *testing.T) {
	rs := office()
	alone := Population(rs, nil)
	want := [][]uint32{nil, {0}, {0, 1}, {0, 2}, {0, 4}, {0, 3, 4}}
	if !slices.EqualFunc(alone, want, slices.Equal[[]uint32]) {
		t.Errorf("alone %v, want %v", alone, want)
	}
	who := []endpoints.Endpoint{
		{Labels: map[string]string{"app": "shop", "tier": "db"}, IPs: []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("192.0.2.1")}},
		{Labels: map[string]string{"app": "shop"}},
	}
	want = append(want, []uint32{0, 1, 2, 3, 4}, []uint32{0, 1, 2})
	if got := Population(rs, who); !slices.EqualFunc(got, want, slices.Equal[[]uint32]) {
		t.Errorf("with a list %v, want %v", got, want)
	}
}

// The tables add up to what the switch says it takes.
func TestTablesAddUp(t *testing.T) {
	rs := office()
	c, err := Measure(rs, Population(rs, nil))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, table := range c.Tables {
		sum += table.Bytes
	}
	if sum != c.Bytes || sum == 0 || c.Touches == 0 {
		t.Errorf("%d of %d bytes, %d touches", sum, c.Bytes, c.Touches)
	}
}

// One rule of many ports among hundreds of plain ones is the one to blame, and
// what is left without it is what the rest costs.
func TestTheRuleToBlameIsNamed(t *testing.T) {
	rs := &policy.Ruleset{Sets: []policy.Set{{Name: "any"}}}
	for i := range 40 {
		rs.Sets = append(rs.Sets, policy.Set{Kind: policy.KindService, Name: fmt.Sprintf("s%02d", i), Selector: policy.Selector{{in("app", fmt.Sprint(i))}}})
	}
	for i := range 300 {
		rs.Rules = append(rs.Rules, policy.Rule{Name: fmt.Sprintf("r%03d", i), Verdict: policy.Allow,
			From: []policy.SetID{policy.SetID(1 + i%40)}, To: []policy.SetID{policy.SetID(1 + i*7%40)}, Ports: []policy.Port{port(6, 80, 80)}})
	}
	wide := policy.Rule{Name: "wide", Verdict: policy.Allow, From: []policy.SetID{0}, To: []policy.SetID{3, 5}}
	for i := range uint16(500) {
		wide.Ports = append(wide.Ports, policy.Port{Proto: 6, SrcLo: 7 * i, SrcHi: 7 * i, DstLo: 9 * i, DstHi: 9 * i})
	}
	slices.SortFunc(wide.Ports, policy.ComparePort)
	rest := len(rs.Rules)
	rs.Rules = append(rs.Rules, wide)
	who := Population(rs, nil)
	all, err := Measure(rs, who)
	if err != nil {
		t.Fatal(err)
	}
	limit := Limit{Bytes: all.Bytes / 2}
	blamed, fits, err := limit.Blame(rs, who)
	if err != nil || !fits || len(blamed) != 1 || blamed[0].Rule.Name != "wide" {
		t.Fatalf("%+v, %v, %v", blamed, fits, err)
	}
	rs.Rules = rs.Rules[:rest]
	if c, err := Measure(rs, who); err != nil || c.Bytes != blamed[0].Without.Bytes || limit.Holds(all) || !limit.Holds(c) {
		t.Errorf("%+v, want %+v, %v", blamed[0].Without, c, err)
	}
	if _, fits, err := (Limit{Touches: 1}).Blame(rs, who); fits || err != nil {
		t.Errorf("one touch is never enough: %v, %v", fits, err)
	}
}
