package classify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
)

// changing is a world whose identities come and go, and its linker.
type changing struct {
	world
	l *Linker
}

// randomPlan is a plan under splits of either side drawn from those there are.
func randomPlan(r *rand.Rand) choice {
	return func(_ *bundles, src, dst *side) (plan, error) {
		sources, dests := src.splits(), dst.splits()
		p := plan{src: sources[r.IntN(len(sources))], dst: dests[r.IntN(len(dests))]}
		for i := range 4 {
			p.matrix[i/2][i%2] = r.IntN(2) == 0
		}
		return p, nil
	}
}

// change has one identity come, go, or be another.
func (c *changing) change(t *testing.T, r *rand.Rand, pool [][]uint32) {
	t.Helper()
	id := 1 + r.IntN(len(c.sets)+3)
	for len(c.sets) <= id {
		c.sets = append(c.sets, nil)
	}
	if c.sets[id] != nil {
		c.l.Remove(identity.ID(id))
		c.sets[id] = nil
	}
	if r.IntN(4) == 0 {
		return
	}
	sets := slices.Clone(pool[r.IntN(len(pool))])
	for range r.IntN(3) {
		sets = append(sets, uint32(r.IntN(len(c.rs.Sets))))
	}
	slices.Sort(sets)
	c.sets[id] = slices.Compact(sets)
	if err := c.l.Add(identity.ID(id), c.sets[id]); err != nil {
		t.Fatal(err)
	}
}

// Whatever came and went since the link, an engine says what the list says, and
// so do the engines before; with everything linked at first, and nothing; under
// the plan that is best, and any other.
func TestChangesAgreeWithTheList(t *testing.T) {
	r := random(t)
	for _, rules := range []int{0, 1, 3, 10, 50, 300, 1000} {
		for range max(2, 20/(1+rules/20)) {
			w := newWorld(r, rules)
			if r.IntN(2) == 0 {
				w.drawOrder(r)
			}
			pool := slices.DeleteFunc(slices.Clone(w.sets), func(sets []uint32) bool { return sets == nil })
			w.sets = slices.Clone(w.sets[:1+r.IntN(len(w.sets))])
			choose := newPlan
			if r.IntN(2) == 0 {
				choose = randomPlan(r)
			}
			l, err := newLinkerBy(w.rs, w.sets, choose)
			if err != nil {
				t.Fatal(err)
			}
			c := changing{w, l}
			c.churn(t, r, pool)
		}
	}
}

func (c *changing) churn(t *testing.T, r *rand.Rand, pool [][]uint32) {
	t.Helper()
	type version struct {
		e *Engine
		world
	}
	var old []version
	for range 60 {
		for range 1 + r.IntN(4) {
			c.change(t, r, pool)
		}
		e := c.l.Engine()
		c.agree(t, e, r, 200)
		old = append(old, version{e, world{c.rs, slices.Clone(c.sets)}})
	}
	for range 10 {
		v := &old[r.IntN(len(old))]
		v.agree(t, v.e, r, 200)
	}
	for id := range c.sets {
		if c.sets[id] != nil {
			c.l.Remove(identity.ID(id))
			c.sets[id] = nil
		}
	}
	c.agree(t, c.l.Engine(), r, 100)
	for l := c.l; l != nil; l = l.audit {
		l.empty(t)
	}
}

// empty fails if there are pairs of those that came later.
func (l *Linker) empty(t *testing.T) {
	t.Helper()
	for _, table := range l.each {
		for i := range table.more {
			for j := range table.more[i] {
				if n := table.more[i][j].len(); n != 0 {
					t.Fatalf("nobody is left, and %d pairs are", n)
				}
			}
		}
	}
}

// Workers ask an engine while the next ones are made.
func TestEnginesAreReadWhileTheNextIsMade(t *testing.T) {
	r := random(t)
	w := newWorld(r, 200)
	w.drawOrder(r)
	pool := slices.Clone(w.sets[1:])
	w.sets = slices.Clone(w.sets[:1])
	l, err := NewLinker(w.rs, w.sets)
	if err != nil {
		t.Fatal(err)
	}
	c := changing{w, l}
	var wait sync.WaitGroup
	for range 60 {
		for range 3 {
			c.change(t, r, pool)
		}
		e, then := c.l.Engine(), world{c.rs, slices.Clone(c.sets)}
		own := rand.New(rand.NewPCG(r.Uint64(), 1))
		wait.Go(func() {
			for range 300 {
				f := then.drawFlow(own)
				rule, verdict := e.ask(f)
				if want, wantVerdict := then.linear(f); rule != want || verdict != wantVerdict {
					t.Errorf("%+v: rule %d, %d; the list says %d, %d", f, int32(rule), verdict, int32(want), wantVerdict)
					return
				}
				audit, found := e.WouldDeny(f.from, f.to, f.proto, f.sport, f.dport)
				if want, wantFound := (Linear{then.rs}).WouldDeny(then.sets[f.from], then.sets[f.to], f.proto, f.sport, f.dport); found != wantFound || found && audit != want {
					t.Errorf("%+v: rule %d would have denied, %v; the list says %d, %v", f, int32(audit), found, int32(want), wantFound)
					return
				}
			}
		})
	}
	wait.Wait()
}

// Identities that come and go take no more than those that are there, but for
// programs; and of these a linker says in time that it is worn.
func TestChurnIsBounded(t *testing.T) {
	r := random(t)
	w := city(r, 300, 2_000, 2_000)
	pool := city(r, 300, 0, 4_000).sets[1:]
	l, err := NewLinker(w.rs, w.sets)
	if err != nil {
		t.Fatal(err)
	}
	base := l.Engine().Stats().Bytes
	live, worn, most := []int{}, 0, 0
	for i := range 60_000 {
		id := len(w.sets) + i
		if len(live) == 200 {
			at := r.IntN(len(live))
			id = live[at]
			l.Remove(identity.ID(id))
			live = slices.Delete(live, at, at+1)
		}
		if err := l.Add(identity.ID(id), pool[r.IntN(len(pool))]); err != nil {
			t.Fatal(err)
		}
		live = append(live, id)
		if i%500 == 0 {
			most = max(most, l.Engine().Stats().Bytes)
		}
		if l.Worn() {
			worn++
			if l, err = NewLinker(w.rs, w.sets); err != nil {
				t.Fatal(err)
			}
			live = live[:0]
		}
	}
	t.Logf("%d KiB linked, %d KiB at the most, worn %d times", base>>10, most>>10, worn)
	if most > 3*base+8<<20 {
		t.Errorf("%d bytes became %d", base, most)
	}
	if worn > 60 {
		t.Errorf("linked anew %d times for 60,000 changes", worn)
	}
}

// A policy that was linked for nobody gets a city one by one: the linker says
// when it is worn, so that the tables of a whole link take over.
func TestLinkedForNobody(t *testing.T) {
	r := random(t)
	w := city(r, 1000, 5_000, 3_000)
	all := w.sets
	w.sets = slices.Clone(all[:1])
	l, err := NewLinker(w.rs, w.sets)
	if err != nil {
		t.Fatal(err)
	}
	again := 0
	for id := 1; id < len(all); id++ {
		w.sets = append(w.sets, all[id])
		if err := l.Add(identity.ID(id), all[id]); err != nil {
			t.Fatal(err)
		}
		if l.Worn() {
			again++
			if l, err = NewLinker(w.rs, w.sets); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("linked anew %d times for %d identities", again, len(all))
	w.agree(t, l.Engine(), r, 300)
	if again > 20 {
		t.Errorf("linked anew %d times", again)
	}
}

// A list of sets that a bound stands against is refused, and from then on the
// linker refuses everything; the engine before answers as it did.
func TestBrokenLinkerIsOfNoUse(t *testing.T) {
	r := random(t)
	w := newWorld(r, 50)
	l, err := NewLinker(w.rs, w.sets)
	if err != nil {
		t.Fatal(err)
	}
	e := l.Engine()
	if err := l.Add(identity.None, []uint32{0}); err == nil || l.Worn() {
		t.Errorf("nobody's identity is linked: %v", err)
	}
	l.broken = errTooMany
	if err := l.Add(1, []uint32{0}); err != errTooMany || !l.Worn() {
		t.Errorf("a broken linker links: %v", err)
	}
	w.agree(t, e, r, 1000)

	w.rs.Rules = []policy.Rule{{Verdict: policy.Deny, Audit: true, From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: []policy.Port{{Proto: policy.AnyProto}}}}
	if l, err = NewLinker(w.rs, w.sets); err != nil {
		t.Fatal(err)
	}
	l.audit.broken = errTooMany
	if err := l.Add(identity.ID(len(w.sets)), []uint32{0}); err != errTooMany || !l.Worn() {
		t.Errorf("a linker whose tables of audits are broken links: %v", err)
	}
}

var unseen = []struct{ services, rules, endpoints int }{{1_000, 1_000, 10_000}, {2_000, 10_000, 20_000}, {10_000, 100_000, 100_000}}

// BenchmarkLinkUnseen links one identity that no class is of, and makes an
// engine: the whole anew, as Link does, and by a Linker.
func BenchmarkLinkUnseen(b *testing.B) {
	for _, c := range unseen {
		r := rand.New(rand.NewPCG(1, 2))
		w := city(r, c.services, c.rules, c.endpoints)
		unknown := func() []uint32 {
			sets := []uint32{0, uint32(1 + r.IntN(30)), uint32(31 + r.IntN(30))}
			for range 3 {
				sets = append(sets, uint32(61+r.IntN(c.services)))
			}
			slices.Sort(sets)
			return slices.Compact(sets)
		}
		b.Run(fmt.Sprintf("how=whole/rules=%d", c.rules), func(b *testing.B) {
			for b.Loop() {
				more := world{w.rs, append(slices.Clip(w.sets), unknown())}
				more.link(b)
			}
		})
		l, err := NewLinker(w.rs, w.sets)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("how=one/rules=%d", c.rules), func(b *testing.B) {
			b.ReportAllocs()
			worst := time.Duration(0)
			for b.Loop() {
				begun := time.Now()
				if err := l.Add(identity.ID(len(w.sets)), unknown()); err != nil {
					b.Fatal(err)
				}
				e := l.Engine()
				worst = max(worst, time.Since(begun))
				sink, _ = e.Decide(identity.ID(len(w.sets)), 1, 6, 1, 1)
				l.Remove(identity.ID(len(w.sets)))
			}
			b.ReportMetric(float64(worst.Microseconds()), "worst-us")
		})
	}
}
