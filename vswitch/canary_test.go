package vswitch

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/control/api"
)

// aviary is a lab whose canary sings all the time, under a policy that allows and
// denies between a and b, and in a segment beside, s2, to which a gateway leads.
func aviary(t testing.TB, text string) *lab {
	t.Helper()
	l := newLab(t, text)
	l.sw.canary.every = time.Millisecond
	l.sw.log = slog.New(slog.NewTextHandler(t.Output(), nil))
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	return l
}

const birdsPolicy = `version = 1
[services.a]
labels = { app = "a" }
[services.b]
labels = { app = "b" }
[[rules]]
name = "web"
allow = { from = ["a"], to = ["b"], ports = ["tcp/80-90", "udp/53", "icmp4/8"] }
[[rules]]
name = "never"
deny = { from = ["b"], to = ["a"], ports = ["any"] }
`

func birds(t testing.TB) *lab {
	l := aviary(t, twoWorkers+labSegment+member("a", 1, `labels = { app = "a" }`)+member("b", 2, `labels = { app = "b" }`))
	l.policyText("birds.bhp", birdsPolicy)
	if err := l.load("birds.bhp"); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) fullStatus() *api.Status {
	l.t.Helper()
	s, err := l.sw.Control("", nil).Status()
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// damage puts a snapshot in force that was never linked: what a bug, or a bit that
// flips, could make of it. The workers go by it.
func (l *lab) damage(change func(s *dataplane.Snapshot)) {
	l.sw.mu.Lock()
	defer l.sw.mu.Unlock()
	next := *l.sw.live.Load()
	s := *next.snapshot
	change(&s)
	next.snapshot = &s
	l.sw.live.Store(&next)
	l.sw.settle()
}

// engineOf links a policy to the identities of a snapshot.
func engineOf(t testing.TB, s *dataplane.Snapshot, rules ...policy.Rule) *classify.Engine {
	t.Helper()
	rs := *s.Rules
	rs.Rules = rules
	linker, err := classify.NewLinker(&rs, s.Identity.AllSets())
	if err != nil {
		t.Fatal(err)
	}
	return linker.Engine()
}

func allRule(v policy.Verdict) policy.Rule {
	return policy.Rule{Name: "all", Verdict: v, From: []policy.SetID{policy.Any}, To: []policy.SetID{policy.Any}, Ports: []policy.Port{{Proto: policy.AnyProto, SrcHi: 65535, DstHi: 65535}}}
}

// Whatever makes of the tables something else than the policy says is found, said by
// name, and the switch is not ready until it has been mended.
func TestCanaryFindsBrokenTables(t *testing.T) {
	for _, c := range []struct {
		name, says string
		breaks     func(t *testing.T, l *lab)
	}{
		{"everything_is_allowed", "must be", func(t *testing.T, l *lab) {
			l.damage(func(s *dataplane.Snapshot) { s.Policy = engineOf(t, s, allRule(policy.Allow), allRule(policy.Allow)) })
		}},
		{"everything_is_denied", "must be", func(t *testing.T, l *lab) {
			l.damage(func(s *dataplane.Snapshot) { s.Policy = engineOf(t, s, allRule(policy.Deny)) })
		}},
		{"the_tables_are_gone", "is dropped as no-policy", func(_ *testing.T, l *lab) {
			l.damage(func(s *dataplane.Snapshot) { s.Policy = nil })
		}},
		{"the_rule_is_another", "must be allowed by rule web", func(t *testing.T, l *lab) {
			l.damage(func(s *dataplane.Snapshot) {
				shifted := append([]policy.Rule{{Name: "none", From: []policy.SetID{policy.Any}, To: []policy.SetID{policy.Any}, Ports: []policy.Port{{Proto: packet.ProtoSCTP, SrcHi: 65535, DstLo: 9, DstHi: 9}}}}, s.Rules.Rules...)
				s.Policy = engineOf(t, s, shifted...)
			})
		}},
		{"a_port_is_no_port", "is dropped as unknown-port", func(_ *testing.T, l *lab) {
			l.damage(func(s *dataplane.Snapshot) { s.Ports = make([]dataplane.Port, len(s.Ports)) })
		}},
		{"who_is_who_is_forgotten", "is dropped as spoofed-mac", func(t *testing.T, l *lab) {
			other := started(t, labSegment+member("c", 9, ""))
			l.damage(func(s *dataplane.Snapshot) { s.Identity = other.sw.live.Load().snapshot.Identity })
		}},
		{"a_worker_goes_by_an_earlier_state", "goes by an earlier state", func(_ *testing.T, l *lab) {
			l.sw.mu.Lock()
			defer l.sw.mu.Unlock()
			old, now := *l.sw.live.Load(), *l.sw.live.Load()
			l.sw.live.Store(&now)
			l.sw.settle()
			// A worker loads what is live each round, so the canary's own look at it is
			// made to differ: it finds what it would if a worker had not loaded it.
			l.sw.canary.goesBy = func(*worker) *live { return &old }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := birds(t)
			eventually(t, "the canary sings", func() bool { return l.fullStatus().Ready })
			c.breaks(t, l)
			eventually(t, "it falls silent", func() bool { return !l.fullStatus().Ready })
			s := l.fullStatus()
			if s.Canary.Failing != 1 || len(s.Canary.Failures) != 1 || !strings.Contains(s.Canary.Failures[0], `segment "s": `) {
				t.Errorf("it says %+v", s.Canary)
			}
			eventually(t, c.says, func() bool {
				return strings.Contains(strings.Join(l.fullStatus().Canary.Failures, "\n"), c.says)
			})
			if s = l.fullStatus(); !strings.Contains(s.NotReady, "not enforced") {
				t.Errorf("it is not ready because %q", s.NotReady)
			}
			l.sw.mu.Lock()
			l.sw.canary.goesBy = nil
			l.sw.mu.Unlock()
			if err := l.load("birds.bhp"); err != nil { // which links every table anew
				t.Fatal(err)
			}
			eventually(t, "it sings again", func() bool { return l.fullStatus().Ready })
		})
	}
}

// The probes are counted nowhere else: no port, no rule, no session shows one.
func TestCanaryLeavesNoTrace(t *testing.T) {
	l := birds(t)
	before := l.fullStatus().Canary
	eventually(t, "a hundred probes of each", func() bool {
		c := l.fullStatus().Canary
		return c.Allowed > before.Allowed+100 && c.Denied > before.Denied+100 && c.Wrong == 0
	})
	counters, err := l.sw.Control("", nil).Counters()
	if err != nil {
		t.Fatal(err)
	}
	if counters.In+counters.Copies+counters.Out+counters.Dropped+counters.Consumed+counters.DefaultDeny+counters.Rules["web"]+counters.Rules["never"] != 0 {
		t.Errorf("counters moved: %+v", counters)
	}
	if n := l.fullStatus().Sessions; n != 0 {
		t.Errorf("%d sessions are open", n)
	}
	if _, out := l.port("b").takes(0); out {
		t.Error("a probe left the switch")
	}
}

// Nothing that changes is taken for a failure: endpoints that come and go and become
// others, policies, ports with bounds, trunks, a gateway, and no policy at all.
func TestCanaryThroughChanges(t *testing.T) {
	text := twoWorkers + "[[segments]]\nname = \"s\"\ngateways = [\"10.0.0.254/24\"]\n[[segments]]\nname = \"far\"\ngateways = [\"10.0.1.254/24\"]\n" +
		member("a", 1, "labels = { app = \"a\" }\nrate_in = [\"1pps\"]") + member("b", 2, `labels = { app = "b" }`) +
		"[[ports]]\nname = \"c\"\nsegment = \"far\"\nmac = \"02:00:00:00:00:03\"\nips = [\"10.0.1.3\"]\nlabels = { app = \"b\" }\n" +
		"[[ports]]\nname = \"trunk\"\nvlans = { 20 = \"s\", 30 = \"far\" }\n" +
		"[[endpoints]]\nname = \"t\"\nport = \"trunk\"\nsegment = \"s\"\nmac = \"02:00:00:00:00:04\"\nips = [\"10.0.0.4\"]\nlabels = { app = \"a\" }\n"
	l := aviary(t, text)
	l.policyText("birds.bhp", birdsPolicy)
	l.policyText("open.bhp", "version = 1\n[[rules]]\nname = \"all\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"any\"] }\n")
	o := l.sw.Control("", nil)
	for i := range 60 {
		file := []string{"birds.bhp", "none.bhp", "open.bhp", "both.bhp"}[i%4]
		if err := l.load(file); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("e%d", i)
		for _, change := range []api.EndpointChange{
			{Op: api.EndpointAdd, Name: name, Port: "b", MAC: "02:00:00:00:00:77", IPs: []string{"10.0.0.77"}, Labels: map[string]string{"app": "a"}},
			{Op: api.EndpointMove, Name: name, Port: "a"},
			{Op: api.EndpointDel, Name: name},
		} {
			if _, err := o.ChangeEndpoint(&change); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if i%10 == 9 {
			if err := l.reload(fmt.Sprintf("policy = %q\n", file) + text); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the canary sings in both segments", func() bool { s := l.fullStatus(); return s.Ready && s.Canary.Segments == 2 })
	if c := l.fullStatus().Canary; c.Wrong != 0 || c.Allowed == 0 || c.Denied == 0 {
		t.Errorf("it found failures where there are none: %+v", c)
	}
}

// A switch that has nobody to show it with is ready: nothing can come in.
func TestCanaryWithNobodyToAsk(t *testing.T) {
	l := aviary(t, labSegment+"[[segments]]\nname = \"other\"\n"+member("a", 1, ""))
	eventually(t, "it is ready", func() bool { return l.fullStatus().Ready })
	if c := l.fullStatus().Canary; c.Segments != 0 || c.Allowed+c.Denied != 0 {
		t.Errorf("it probes %+v", c)
	}
}

// With more segments than a tick has room for each has its turn, and the status says
// how often.
func TestCanaryOfManySegments(t *testing.T) {
	const many = 150
	text := "policy = \"web.bhp\"\n"
	for i := range many {
		text += fmt.Sprintf("[[segments]]\nname = \"s%d\"\n", i)
		for j := 1; j < 3; j++ {
			text += fmt.Sprintf("[[ports]]\nname = \"p%d-%d\"\nsegment = \"s%d\"\nmac = \"02:00:00:%02x:00:%02x\"\nips = [\"10.1.%d.%d\"]\n", i, j, i, i, j, i, j)
		}
	}
	l := aviary(t, text)
	eventually(t, "each has had its turn", func() bool { s := l.fullStatus(); return s.Ready && s.Canary.Segments == many })
	if p := l.fullStatus().Canary.PeriodSeconds; p != 3*time.Millisecond.Seconds() {
		t.Errorf("the period is %v s, want 3 ticks", p)
	}
}

// clockwork is a lab whose canary does what the test tells it to, tick by tick, by a
// clock of its own.
func clockwork(t *testing.T, text string) (l *lab, ticks func(n int)) {
	t.Helper()
	l = newLab(t, text)
	c, clock := l.sw.canary, &atomic.Int64{}
	begun := time.Now()
	c.now, c.every = func() time.Time { return begun.Add(time.Duration(clock.Load())) }, time.Hour
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its own tick is over", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.last.IsZero()
	})
	c.every = canaryEvery
	return l, func(n int) {
		for range n {
			clock.Add(int64(canaryEvery))
			c.tick()
		}
	}
}

// hatches makes the canary as it is before its first tick.
func (c *canary) hatches() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chosen, c.next, c.round, c.last = map[string]*choice{}, 0, false, time.Time{}
	clear(c.silent)
}

// manyRules is a policy under which a tick has room for one choice.
func (l *lab) manyRules(name, service string) {
	rules := make([]string, 20000)
	for i := range rules {
		rules[i] = fmt.Sprintf("[[rules]]\nname = \"r%d\"\nallow = { from = [\"a\"], to = [%q], ports = [\"tcp/%d-%d\"] }\n", i, service, 1+i, 2+i)
	}
	l.policyText(name, "version = 1\n[services.a]\nlabels = { app = \"a\" }\n[services.b]\nlabels = { app = \"b\" }\n"+strings.Join(rules, ""))
}

// segmentsOf is segments of which those from first on have two endpoints.
func segmentsOf(many, first int) (text string) {
	for i := range many {
		text += fmt.Sprintf("[[segments]]\nname = \"s%d\"\n", i)
		for j := 1; j < 3 && i >= first; j++ {
			text += fmt.Sprintf("[[ports]]\nname = \"p%d-%d\"\nsegment = \"s%d\"\nmac = \"02:00:00:%02x:00:%02x\"\nips = [\"10.1.%d.%d\"]\nlabels = { app = %q }\n", i, j, i, i, j, i, j, "ab"[j-1:j])
		}
	}
	return text
}

// Under a policy so big that a tick has room for one choice, each segment has its
// probes in time, and the switch stays ready: empty segments take no room, and those
// that have waited longest come first. A new policy of that size changes nothing.
func TestCanaryUnderBigPolicies(t *testing.T) {
	for _, c := range []struct {
		name        string
		many, first int // segments, and the first that has somebody in it
		within      int // ticks until it is ready
	}{
		{"one_of_64_has_somebody", 64, 63, 2},
		{"all_of_64_have", 64, 0, 64/canaryHurry + 1},
		{"150_and_the_last_has_somebody", 150, 149, 6},
		{"all_of_100_have", 100, 0, 2*64/canaryHurry + 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, ticks := clockwork(t, segmentsOf(c.many, c.first))
			l.manyRules("big.bhp", "b")
			l.manyRules("bigger.bhp", "a")
			if err := l.reload("policy = \"big.bhp\"\n" + segmentsOf(c.many, c.first)); err != nil {
				t.Fatal(err)
			}
			ready := func(when string) {
				t.Helper()
				if is, why := l.sw.Ready(); !is {
					t.Fatalf("%s it is not ready: %s", when, why)
				}
			}
			l.sw.canary.hatches()
			ticks(c.within)
			ready("after a round")
			for i := range 300 {
				ticks(1)
				ready(fmt.Sprintf("%d s later", i+1))
				if n := l.fullStatus().Canary.Segments; n != c.many-c.first {
					t.Fatalf("%d s later %d segments have probes, want %d", i+1, n, c.many-c.first)
				}
			}
			before := l.fullStatus().Canary
			if err := l.load("bigger.bhp"); err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				ticks(1)
				ready(fmt.Sprintf("%d s after a new policy", i+1))
			}
			s := l.fullStatus().Canary
			if s.Wrong != 0 || s.Segments != c.many-c.first || s.Denied == before.Denied {
				t.Errorf("it found %+v", s)
			}
			l.sw.canary.mu.Lock()
			defer l.sw.canary.mu.Unlock()
			if len(l.sw.canary.silent) > 0 {
				t.Errorf("without a probe: %v", l.sw.canary.silent)
			}
		})
	}
}

// BenchmarkCanary is how long a worker is held up by the probes that it carries at a
// time (canaryAtOnce).
func BenchmarkCanary(b *testing.B) {
	l := birds(b)
	eventually(b, "the canary sings", func() bool { return l.fullStatus().Ready })
	_ = l.sw.Close()
	now := l.sw.live.Load()
	p := &probe{segment: "s", from: l.sw.roster["a"], to: l.sw.roster["b"], proto: packet.ProtoTCP, sport: 50000, dport: 80}
	p.src, p.dst, p.port = p.from.IPs[0], p.to.IPs[0], l.sw.ports["a"]
	raw := p.frame(now)
	prober, err := dataplane.NewProber()
	if err != nil {
		b.Fatal(err)
	}
	defer prober.Close()
	for i := 0; b.Loop(); i++ {
		for range canaryAtOnce {
			if end := prober.Probe(now.snapshot, int64(i+1), raw, p.port); end.Rule == 0 {
				b.Fatal("it is not allowed")
			}
		}
	}
}
