package classify

import (
	"math/rand/v2"
	"slices"
	"testing"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// with returns the same identities under other rules.
func (w *world) with(rules []policy.Rule) world {
	rs := *w.rs
	rs.Rules = rules
	return world{rs: &rs, sets: w.sets}
}

// each draws policies and questions and hands over the two answers: of a
// policy, and of what change makes of it.
func each(t *testing.T, change func(*rand.Rand, world) world, check func(t *testing.T, w world, f flow, before, after policy.Verdict, ruleBefore, ruleAfter policy.RuleID)) {
	t.Helper()
	r := random(t)
	for range 40 {
		w := newWorld(r, 1+r.IntN(60))
		changed := change(r, w)
		one, two := w.link(t), changed.link(t)
		for range 1000 {
			f := w.drawFlow(r)
			rule, verdict := one.ask(f)
			rule2, verdict2 := two.ask(f)
			check(t, w, f, verdict, verdict2, rule, rule2)
		}
	}
}

func sameVerdict(t *testing.T, _ world, f flow, before, after policy.Verdict, _, _ policy.RuleID) {
	t.Helper()
	if before != after {
		t.Fatalf("%+v: was %d, is %d", f, before, after)
	}
}

func sameAnswer(t *testing.T, _ world, f flow, before, after policy.Verdict, rule, rule2 policy.RuleID) {
	t.Helper()
	if before != after || rule != rule2 {
		t.Fatalf("%+v: was %d by %d, is %d by %d", f, before, int32(rule), after, int32(rule2))
	}
}

func TestADenyMoreAllowsNothingMore(t *testing.T) {
	deny := func(r *rand.Rand, w world) world {
		rule := drawRule(r, len(w.rs.Rules), len(w.rs.Sets))
		rule.Verdict = policy.Deny
		return w.with(slices.Insert(slices.Clone(w.rs.Rules), r.IntN(len(w.rs.Rules)+1), rule))
	}
	each(t, deny, func(t *testing.T, _ world, f flow, before, after policy.Verdict, _, _ policy.RuleID) {
		if after == policy.Allow && before == policy.Deny {
			t.Fatalf("%+v: a deny allowed it", f)
		}
	})
}

// Between two neighbours of one verdict the order says who decides, not what.
func TestOrderWithinAVerdictChangesNoVerdict(t *testing.T) {
	each(t, func(r *rand.Rand, w world) world {
		rules := slices.Clone(w.rs.Rules)
		for lo := 0; lo < len(rules); {
			hi := lo
			for hi < len(rules) && rules[hi].Verdict == rules[lo].Verdict {
				hi++
			}
			run := rules[lo:hi]
			r.Shuffle(len(run), func(i, j int) { run[i], run[j] = run[j], run[i] })
			lo = hi
		}
		return w.with(rules)
	}, sameVerdict)
}

// A range in two halves, as two ports of the rule, is the range.
func TestARangeCutInTwoIsTheRange(t *testing.T) {
	each(t, func(r *rand.Rand, w world) world {
		rules := slices.Clone(w.rs.Rules)
		for i := range rules {
			var ports []policy.Port
			for _, p := range rules[i].Ports {
				ports = append(ports, halves(r, p)...)
			}
			slices.SortFunc(ports, policy.ComparePort)
			rules[i].Ports = slices.Compact(ports)
		}
		return w.with(rules)
	}, sameAnswer)
}

func halves(r *rand.Rand, p policy.Port) []policy.Port {
	if p.Proto == policy.AnyProto || p.DstLo == p.DstHi {
		return []policy.Port{p}
	}
	at := p.DstLo + uint16(r.IntN(int(p.DstHi-p.DstLo)))
	low, high := p, p
	low.DstHi, high.DstLo = at, at+1
	return []policy.Port{low, high}
}

// A rule said again later changes nothing.
func TestARuleRepeatedChangesNothing(t *testing.T) {
	each(t, func(_ *rand.Rand, w world) world {
		return w.with(slices.Concat(w.rs.Rules, w.rs.Rules))
	}, sameAnswer)
}

// A rule of two sources is a rule of each, one after the other.
func TestARuleOfTwoSourcesIsTwoRules(t *testing.T) {
	each(t, func(_ *rand.Rand, w world) world {
		var rules []policy.Rule
		for _, rule := range w.rs.Rules {
			for i := range rule.From {
				one := rule
				one.From = rule.From[i : i+1]
				rules = append(rules, one)
			}
		}
		return w.with(rules)
	}, sameVerdict)
}

// Identities and sets are numbers: other numbers, the same answers.
func TestOtherNumbersSameAnswers(t *testing.T) {
	r := random(t)
	for range 40 {
		w := newWorld(r, 1+r.IntN(60))
		turned, ids := renumber(r, w)
		one, two := w.link(t), turned.link(t)
		for range 1000 {
			f := w.drawFlow(r)
			g := f
			g.from, g.to = ids[f.from], ids[f.to]
			rule, verdict := one.ask(f)
			if rule2, verdict2 := two.ask(g); rule != rule2 || verdict != verdict2 {
				t.Fatalf("%+v: was %d by %d, is %d by %d", f, verdict, int32(rule), verdict2, int32(rule2))
			}
		}
	}
}

func renumber(r *rand.Rand, w world) (world, []identity.ID) {
	order := r.Perm(len(w.rs.Sets))
	rename := func(s uint32) uint32 { return uint32(order[s]) }
	rules := slices.Clone(w.rs.Rules)
	for i := range rules {
		for _, side := range []*[]policy.SetID{&rules[i].From, &rules[i].To} {
			var out []policy.SetID
			for _, s := range *side {
				out = append(out, policy.SetID(rename(uint32(s))))
			}
			slices.Sort(out)
			*side = out
		}
	}
	out := w.with(rules)
	out.sets = make([][]uint32, len(w.sets))
	ids := make([]identity.ID, len(w.sets))
	for i, to := range r.Perm(len(w.sets)) {
		ids[i] = identity.ID(to)
		for _, s := range w.sets[i] {
			out.sets[to] = append(out.sets[to], rename(s))
		}
		slices.Sort(out.sets[to])
	}
	return out, ids
}
