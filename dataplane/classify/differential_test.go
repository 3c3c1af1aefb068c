package classify

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

var seed = flag.Uint64("seed", 0, "draw the policies of this seed; 0: of the clock")

// random returns a generator whose seed is printed with the test.
func random(t testing.TB) *rand.Rand {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// The tables say what the list says, the verdict and the rule, from no rule to
// 2,000, with and without tiers, passes and directions; and so they do however sets are split in broad and narrow ones.
func TestTablesAgreeWithTheList(t *testing.T) {
	r := random(t)
	for _, rules := range []int{0, 1, 2, 3, 5, 8, 13, 20, 50, 100, 200, 500, 1000, 2000} {
		for range max(1, 30/(1+rules/20)) {
			w := newWorld(r, rules)
			if r.IntN(2) == 0 {
				w.drawOrder(r)
			}
			w.agree(t, w.link(t), r, 2000)
			w.agree(t, w.linkSplit(t, r), r, 2000)
		}
	}
}

// The same on policies small enough for a failure to be shrunk.
func TestTablesAgreeWithTheListShrunk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world{rs: &policy.Ruleset{Sets: make([]policy.Set, 4)}, sets: [][]uint32{nil, {0}, {0, 1}, {0, 1, 2}, {0, 2, 3}, {3}}}
		for i := range rapid.IntRange(0, 6).Draw(t, "rules") {
			w.rs.Rules = append(w.rs.Rules, shrinkableRule(t, i))
		}
		w.order()
		e, err := Link(w.rs, w.sets)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			f := flow{
				from: identity.ID(rapid.IntRange(0, len(w.sets)-1).Draw(t, "from")), to: identity.ID(rapid.IntRange(0, len(w.sets)-1).Draw(t, "to")),
				proto: rapid.SampledFrom([]uint8{0, 1, 6, 17, 255}).Draw(t, "proto"),
				sport: rapid.SampledFrom(edges).Draw(t, "sport"), dport: rapid.SampledFrom(edges).Draw(t, "dport"),
			}
			rule, verdict := e.ask(f)
			if wantRule, want := w.linear(f); rule != wantRule || verdict != want {
				t.Fatalf("%+v: the tables say rule %d, %d; the list says rule %d, %d", f, int32(rule), verdict, int32(wantRule), want)
			}
			w.auditsAgree(t, e, f)
		}
	})
}

func shrinkableRule(t *rapid.T, number int) policy.Rule {
	side := func(label string) []policy.SetID {
		s := rapid.SliceOfNDistinct(rapid.Uint32Range(0, 3), 1, 3, rapid.ID[uint32]).Draw(t, label)
		slices.Sort(s)
		var out []policy.SetID
		for _, v := range s {
			out = append(out, policy.SetID(v))
		}
		return out
	}
	span := func(label string) (uint16, uint16) {
		a, b := rapid.SampledFrom(edges).Draw(t, label), rapid.SampledFrom(edges).Draw(t, label)
		return min(a, b), max(a, b)
	}
	p := policy.Port{Proto: rapid.SampledFrom([]uint16{policy.AnyProto, 1, 6, 17}).Draw(t, "proto"), SrcHi: 65535, DstHi: 65535}
	if p.Proto != policy.AnyProto {
		p.SrcLo, p.SrcHi = span("sport")
		p.DstLo, p.DstHi = span("dport")
	}
	r := policy.Rule{Name: fmt.Sprint(number), Verdict: policy.Verdict(rapid.IntRange(0, 2).Draw(t, "verdict")),
		Tier: rapid.Uint32Range(0, 2).Draw(t, "tier"), Direction: policy.Direction(rapid.IntRange(0, 2).Draw(t, "direction")),
		From: side("from"), To: side("to"), Ports: []policy.Port{p}}
	r.Audit = r.Verdict == policy.Deny && rapid.IntRange(0, 2).Draw(t, "audit") == 0
	r.Stateless = r.Verdict == policy.Allow && rapid.IntRange(0, 2).Draw(t, "stateless") == 0
	r.Dormant = rapid.IntRange(0, 4).Draw(t, "dormant") == 0
	return r
}

// What the tables were not linked with is allowed nothing, by no rule.
func TestUnknownIdentityIsAllowedNothing(t *testing.T) {
	w := world{rs: &policy.Ruleset{Sets: make([]policy.Set, 1), Rules: []policy.Rule{
		{Verdict: policy.Allow, From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: []policy.Port{{Proto: policy.AnyProto, SrcHi: 65535, DstHi: 65535}}},
	}}, sets: [][]uint32{nil, {0}}}
	e := w.link(t)
	if rule, verdict := e.ask(flow{from: 1, to: 1}); rule != 0 || verdict != policy.Allow {
		t.Fatalf("known: rule %d, %d", rule, verdict)
	}
	for _, f := range []flow{{from: 2, to: 1}, {from: 1, to: 2}, {from: 0, to: 1}, {from: 1, to: 0}, {from: 1<<32 - 1, to: 1}, {from: 1, to: 1<<32 - 1}} {
		if rule, verdict := e.ask(f); rule != policy.NoRule || verdict != policy.Deny {
			t.Errorf("%+v: rule %d, %d", f, rule, verdict)
		}
		together(t, e, []flow{f, {from: 1, to: 1}})
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	r := random(t)
	w := newWorld(r, 100)
	e := w.link(t)
	f := w.drawFlow(r)
	if n := testing.AllocsPerRun(1000, func() { e.ask(f) }); n != 0 {
		t.Errorf("%v allocations a lookup", n)
	}
	q, answers := questionsOf(make([]flow, 100)), make([]Answer, 100)
	if n := testing.AllocsPerRun(100, func() { e.DecideAll(q.from, q.to, q.headers, answers) }); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
