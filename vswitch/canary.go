package vswitch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"bulkhead/dataplane"
	"bulkhead/vswitch/control/api"
)

// The canary shows that the switch enforces its policy, rather than that nobody has
// complained. Once a second it sends, in each segment, one frame that the policy
// allows and one that it denies through the walk that forwards (dataplane.Prober),
// on a worker, between two batches, by the snapshot which that worker goes by.
//
// What should become of a probe is worked out apart from the tables that decide:
// who sends and who receives is as the roster has it, its services and networks are
// asked of the ruleset set by set, and the answer is the ruleset's list, searched
// from its top (policy.Ruleset.Decide). So tables that were linked wrongly, were
// damaged in memory, or were never published to a worker give another answer than
// the one expected, rule for rule.
//
//	allowed   its rule is the one expected, and where its way is within the segment
//	          it leaves by the destination's port, to its MAC
//	denied    dropped, by the rule expected; where the policy denies nothing in the
//	          segment, a frame with a neighbour's address, which is no policy's
//
// # Cost
//
// A tick probes at most canarySegments segments, the next ones at the next; status
// has the period. A worker is held up for canaryAtOnce probes at a time, a few
// microseconds each (BenchmarkCanary). Choosing is off the workers and off the
// lock: two searches of the list for each probe, bounded by canaryLooks rules and
// sets a tick, but one choice at least. What was chosen is kept until the rules, or
// who it is about, are others, and then for canaryKeep, or two rounds of choosing
// where those are longer: so in time the canary goes round the endpoints and the
// rules. Who was chosen for longest ago, or never, comes first, so each has its turn
// whatever the others need. That nobody is in a segment is seen without the rules,
// and is no choice.
//
// A round of choosing takes, where somebody is in all segments,
//
//	period * ceil(min(segments, canarySegments) / choices a tick)   ticks
//	choices a tick = max(1, canaryLooks / (choiceLooks * (rules + sets)))
//
// at most: 2 s for 64 segments and 1,000 rules, 64 s for 64 and 19,000 or more, and 68
// minutes for 4,096 and 19,000. While a segment is without a probe, as all are at the
// start and after a new policy, there are canaryHurry times as many choices: 1 s, 4 s
// and 256 s. 32,768 segments take their period, 512 s, under any policy. For so long a
// switch is not ready after its start; a service manager must wait that long (systemd:
// 90 s, unless TimeoutStartSec= says more). Later on a segment may be without a probe
// for so long and canarySilent until the switch is not ready.
//
// # Failure
//
// One wrong answer is a failure: the tables are no place for chance. The switch is
// then not ready (Ready) until every segment has answered rightly again; that is
// logged, counted, and said by status.

const (
	canaryEvery    = time.Second
	canarySegments = 64 // a tick
	canaryAtOnce   = 8  // probes that a worker is held up for
	canaryLooks    = 1 << 20
	canaryHurry    = 16 // times as many choices while a segment is without a probe
	canaryKeep     = time.Minute
	canarySilent   = 30 * time.Second // without a tick: not ready
	canaryShown    = 16               // segments whose failures are listed
)

// canary is the state of it. Its goroutine alone uses what stands before mu.
type canary struct {
	sw     *Switch
	every  time.Duration
	prober *dataplane.Prober
	now    func() time.Time    // tests have a clock of their own
	seen   sighting            // who is in the segments
	chosen map[string]*choice  // by segment
	next   int                 // the segment to begin with at the next tick
	turn   int                 // of the workers
	goesBy func(*worker) *live // nil: what the worker has loaded; tests break it, under sw.mu
	ended  chan struct{}       // closed as its last act

	mu      sync.Mutex           // guards what follows
	last    time.Time            // when a tick ended
	round   bool                 // every segment has been shown once since the start
	silent  map[string]time.Time // segments that should have been shown and were not, since when
	period  int                  // ticks until each segment has had its turn
	renewal int                  // ticks until each segment has been chosen for, in a hurry
	probed  int                  // segments that have a probe
	allowed uint64               // probes that should pass
	denied  uint64               // probes that should not
	wrong   uint64               // probes that did otherwise
	failing map[string]string
}

func newCanary(sw *Switch) (*canary, error) {
	prober, err := dataplane.NewProber()
	if err != nil {
		return nil, err
	}
	return &canary{
		sw: sw, every: canaryEvery, now: time.Now, prober: prober, chosen: map[string]*choice{}, ended: make(chan struct{}), failing: map[string]string{}, silent: map[string]time.Time{},
	}, nil
}

// sing is the canary's life; Close ends it.
func (c *canary) sing() {
	defer close(c.ended)
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		c.tick()
		select {
		case <-c.sw.done:
			return
		case <-tick.C:
		}
	}
}

// tick chooses what to probe, off the lock, and then probes what is still right.
func (c *canary) tick() {
	l := c.sw.live.Load()
	if l == nil {
		return
	}
	due := c.due(l)
	c.choose(l, due)
	c.probe(due)
}

// due is the segments whose turn it is. A round ends with the last segment, so that
// next is 0 at its end whatever their number is.
func (c *canary) due(l *live) []string {
	all := l.snapshot.Names.Segments
	here := make(map[string]bool, len(all)) // there may be thousands, each with a choice
	for _, name := range all {
		here[name] = true
	}
	gone := func(name string) bool { return !here[name] }
	maps.DeleteFunc(c.chosen, func(name string, _ *choice) bool { return gone(name) })
	if c.next >= len(all) {
		c.next = 0
	}
	n := min(len(all)-c.next, canarySegments)
	due := slices.Clone(all[c.next : c.next+n])
	if c.next += n; c.next == len(all) {
		c.next = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.period = (len(all) + canarySegments - 1) / canarySegments
	maps.DeleteFunc(c.failing, func(name, _ string) bool { return gone(name) })
	maps.DeleteFunc(c.silent, func(name string, _ time.Time) bool { return gone(name) })
	return due
}

// choose sees to it that the segments have probes, within the bound of a tick.
func (c *canary) choose(l *live, due []string) {
	left, keep := c.budget(l)
	for _, name := range c.stale(l, due) {
		old := c.chosen[name]
		if left == 0 && old != nil && len(old.probes) > 0 {
			continue
		}
		now := c.now()
		c.seen.look(l, now)
		chosen := &choice{segment: name, made: now, rules: l.snapshot.Rules, keep: seenKeep} // somebody may come
		pairs, ports := c.sw.pairsOf(l, name, c.seen.of(l, name))
		switch {
		case len(pairs) == 0: // nothing to choose, which costs no choice
		case left == 0:
			delete(c.chosen, name) // somebody has come: it is not known for empty any more
			continue
		default:
			left--
			chosen.choose(pairs, ports)
			chosen.keep = keep + rand.N(keep/4) // not all at once again
		}
		c.chosen[name] = chosen
	}
}

// budget is how many choices a tick may make, and how long one is good for: for two
// rounds of choosing at least, so that no more than half of the choices are those of
// age, and the others are there for what has changed.
func (c *canary) budget(l *live) (choices int, keep time.Duration) {
	cost := 1
	if rs := l.snapshot.Rules; rs != nil {
		cost += choiceLooks * (len(rs.Rules) + len(rs.Sets))
	}
	choices = max(1, canaryLooks/cost)
	c.mu.Lock()
	defer c.mu.Unlock()
	most := min(len(l.snapshot.Names.Segments), canarySegments) // that are due at a time
	round := func(choices int) int { return c.period * ((most + choices - 1) / choices) }
	c.renewal = round(choices * canaryHurry)
	keep = max(canaryKeep, 2*time.Duration(round(choices))*c.every)
	if !c.round || len(c.silent) > 0 {
		choices *= canaryHurry
	}
	return choices, keep
}

// stale is the segments that need a new choice: those that never had one, and then
// those whose is oldest. Who has been chosen for goes to the end of the line.
func (c *canary) stale(l *live, due []string) []string {
	now, made := c.now(), map[string]time.Time{}
	var list []string
	for _, name := range due {
		old := c.chosen[name]
		if old != nil && now.Sub(old.made) < old.keep && c.sw.stillRight(l, old) {
			continue
		}
		if list = append(list, name); old != nil {
			made[name] = old.made
		}
	}
	slices.SortStableFunc(list, func(a, b string) int { return made[a].Compare(made[b]) })
	return list
}

// probe sends the probes of the segments, and books what became of them. The
// declared state stands still meanwhile, so that no change is taken for a failure.
func (c *canary) probe(due []string) {
	sw := c.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.closed {
		return
	}
	l, found := sw.live.Load(), []outcome{}
	var list []*probe
	for _, name := range due {
		chosen := c.chosen[name]
		if chosen == nil || !sw.fits(l, chosen) {
			continue // chosen anew at the next turn
		}
		list = append(list, chosen.probes...)
	}
	for len(list) > 0 {
		n := min(len(list), canaryAtOnce)
		got, went := c.send(l, list[:n])
		if !went {
			return // the workers have stopped
		}
		found, list = append(found, got...), list[n:]
	}
	c.book(due, found)
}

// send has a worker carry probes. A worker that goes by anything else than what is
// live is as wrong as a table: mu is held, so nothing is on its way to it.
func (c *canary) send(l *live, list []*probe) (found []outcome, went bool) {
	number := c.turn % len(c.sw.workers)
	c.turn++
	frames := make([][]byte, len(list))
	for i, p := range list {
		frames[i] = p.frame(l)
	}
	ends := make([]dataplane.End, len(list))
	current := false
	went = c.sw.onWorker(number, func(w *worker) {
		goes := w.live
		if c.goesBy != nil {
			goes = c.goesBy(w)
		}
		if current = goes == l; !current {
			return
		}
		now := c.sw.now()
		for i, p := range list {
			ends[i] = c.prober.Probe(w.live.snapshot, now, frames[i], p.port)
		}
	})
	for i, p := range list {
		why := p.judge(l, &ends[i])
		if !current {
			why = fmt.Sprintf("worker %d goes by an earlier state", number)
		}
		found = append(found, outcome{p, why})
	}
	return found, went
}

// outcome is what became of a probe; why is empty if that is what should have.
type outcome struct {
	*probe
	why string
}

// book counts what was found, and tells of what has changed.
func (c *canary) book(due []string, found []outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = c.now()
	bad, good := map[string]string{}, map[string]bool{}
	for _, o := range found {
		if o.expect == passes {
			c.allowed++
		} else {
			c.denied++
		}
		good[o.segment] = true
		if o.why != "" {
			c.wrong++
			bad[o.segment] = o.why
		}
	}
	c.probed = 0
	for _, chosen := range c.chosen {
		if len(chosen.probes) > 0 {
			c.probed++
		}
	}
	for _, name := range due {
		chosen := c.chosen[name]
		if _, since := c.silent[name]; good[name] || chosen != nil && len(chosen.probes) == 0 {
			delete(c.silent, name)
		} else if !since {
			c.silent[name] = c.last
		}
		why, is := bad[name]
		_, was := c.failing[name]
		switch {
		case is:
			if !was {
				c.sw.log.Error("canary", "segment", name, "error", why, "effect", "the switch is not ready",
					"cure", "reload, which links every table anew; if it stays, restart the switch and report this")
			}
			c.failing[name] = why
		case was && (good[name] || chosen != nil && len(chosen.probes) == 0):
			delete(c.failing, name)
			c.sw.log.Info("canary", "segment", name, "effect", "its probes end as they should again")
		}
	}
	c.round = c.round || c.next == 0 && len(c.silent) == 0
}

// Ready tells whether the switch is known to enforce its policy: every segment's
// probes have ended as they should. If not, why says what is wrong.
func (sw *Switch) Ready() (ready bool, why string) {
	c := sw.canary
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	switch {
	case len(c.failing) > 0:
		name := slices.Sorted(maps.Keys(c.failing))[0]
		return false, fmt.Sprintf("the policy is not enforced as it should be: segment %q: %s", name, c.failing[name])
	case c.last.IsZero() || !c.round:
		return false, "no probe has shown yet that the policy is enforced"
	case now.Sub(c.last) > canarySilent:
		return false, fmt.Sprintf("no probe has shown for %s that the policy is enforced", now.Sub(c.last).Round(time.Second))
	}
	for name, since := range c.silent {
		if now.Sub(since) > canarySilent+time.Duration(c.renewal)*c.every {
			return false, fmt.Sprintf("no probe has shown for %s that the policy is enforced in segment %q", now.Sub(since).Round(time.Second), name)
		}
	}
	return true, ""
}

// canaryStatus is what status says of the canary.
func (sw *Switch) canaryStatus() api.Canary {
	c := sw.canary
	c.mu.Lock()
	defer c.mu.Unlock()
	out := api.Canary{
		Segments: c.probed, PeriodSeconds: (time.Duration(max(1, c.period)) * c.every).Seconds(),
		Allowed: c.allowed, Denied: c.denied, Wrong: c.wrong, Failing: len(c.failing),
	}
	for _, name := range slices.Sorted(maps.Keys(c.failing)) {
		if len(out.Failures) == canaryShown {
			break
		}
		out.Failures = append(out.Failures, fmt.Sprintf("segment %q: %s", name, c.failing[name]))
	}
	return out
}
