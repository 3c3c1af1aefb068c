package vswitch

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
)

func netipOf(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }

// Reloads add, remove and change ports, segments, routes and policies while
// two workers carry traffic. No queue is used after its port is closed, every
// frame is accounted for on its port, and what the switch says it gave out is
// what the ports sent.
func TestReloadUnderTraffic(t *testing.T) {
	l := started(t, twoWorkers+"policy = \"both.bhp\"\n"+twoPorts())
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		for queue := range 2 {
			senders.Go(func() { l.chatter(name, queue, stop) })
		}
	}
	states := []string{
		twoPorts() + member("c", 3, ""),
		twoPorts() + member("c", 3, "mtu = 1400"),
		strings.ReplaceAll(twoPorts(), labSegment, labSegment+"mtu = 1400\nbroadcast = \"flood\"\ngateways = [\"10.0.0.254/24\"]\n") + "[[routes]]\nprefix = \"10.9.0.0/16\"\nblackhole = true\n",
		labSegment + member("b", 2, "") + member("c", 3, "queues = 1"),
		twoPorts() + "[[segments]]\nname = \"t\"\nvrf = \"v\"\n",
		labSegment + member("a", 1, "queues = 1") + member("b", 2, "queues = 5"),
	}
	for i := range 24 {
		policy := []string{"both.bhp", "web.bhp", "dns.bhp", "none.bhp"}[rand.IntN(4)]
		if err := l.reload(twoWorkers + fmt.Sprintf("policy = %q\n", policy) + states[i%len(states)]); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
		if i%9 == 8 {
			l.breaks("d", errors.New("no such device"))
			if l.reload(twoWorkers+states[0]+member("d", 4, "")) == nil {
				t.Fatal("a port that cannot be opened is no error")
			}
		}
	}
	close(stop)
	senders.Wait()
	l.balance()
}

// chatter sends frames of every kind into the port of a name that is open, and
// empties it, until stop.
func (l *lab) chatter(name string, queue int, stop <-chan struct{}) {
	me := int(name[0]-'a') + 1
	for n := uint16(1); ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		p := l.port(name)
		if p == nil {
			continue
		}
		to := me%3 + 1
		_ = p.Inject(queue%len(p.queues), frame(me, to, packet.ProtoTCP, n, 80, packet.TCPSyn), packet.Offload{})
		_ = p.Inject(queue%len(p.queues), frame(me, to, packet.ProtoUDP, n, 53, 0), packet.Offload{})
		_ = p.Inject(queue%len(p.queues), frame(me, 9, packet.ProtoUDP, n, 53, 0), packet.Offload{})
		for q := range p.queues {
			p.Discard(q)
		}
		time.Sleep(20 * time.Microsecond) // the workers want the cores, too
	}
}

// balance holds the switch's accounts against the ports', over the whole run.
func (l *lab) balance() {
	l.t.Helper()
	live := l.sw.live.Load()
	_ = l.sw.Answer(0)
	var out, in, sent, received uint64
	for i := range live.ports {
		c := l.counters(packet.PortID(i))
		if !c.Balanced() {
			l.t.Errorf("the accounts of port %d do not balance: %+v", i, c)
		}
		out, in = out+c.Out, in+c.In
	}
	for name, before := range l.sw.retired { // ports that are closed
		if !before.counters.Balanced() {
			l.t.Errorf("the accounts of what was port %q do not balance: %+v", name, before.counters)
		}
		out, in = out+before.counters.Out, in+before.counters.In
	}
	for _, p := range l.all {
		s := p.Stats()
		sent, received = sent+s.TxFrames, received+s.RxFrames
	}
	if in != received || out != sent || out == 0 || in == out {
		l.t.Errorf("the ports received %d and sent %d frames, the switch has booked %d in and %d out", received, sent, in, out)
	}
}

// A reload that fails at any step leaves the state before as it was: ports,
// generation, sessions, roster; and what it had opened is closed.
func TestReloadThatFails(t *testing.T) {
	good := twoWorkers + "policy = \"web.bhp\"\n"
	for name, tt := range map[string]struct {
		text   string
		broken string
		says   string
	}{
		"first of three new ports":  {good + twoPorts() + member("c", 3, "") + member("d", 4, "") + member("e", 5, ""), "c", "no such device"},
		"last of three new ports":   {good + twoPorts() + member("c", 3, "") + member("d", 4, "") + member("e", 5, ""), "e", "no such device"},
		"new port beside a changed": {good + labSegment + member("a", 1, "mtu = 1400") + member("b", 2, "") + member("e", 5, ""), "e", "no such device"},
		"new port beside a removed": {good + labSegment + member("a", 1, "") + member("e", 5, ""), "e", "no such device"},
		"policy that is not there":  {twoWorkers + "policy = \"nosuch.bhp\"\n" + twoPorts(), "", "no such file"},
		"policy that is cut short":  {twoWorkers + "policy = \"short.bhp\"\n" + twoPorts() + member("c", 3, ""), "", "short.bhp"},
		"policy that is no policy":  {twoWorkers + "policy = \"text.bhp\"\n" + twoPorts(), "", "text.bhp"},
		"policy that is altered":    {twoWorkers + "policy = \"altered.bhp\"\n" + twoPorts(), "", "altered.bhp"},
	} {
		t.Run(name, func(t *testing.T) {
			l := started(t, good+twoPorts())
			l.spoilPolicies()
			a, b := l.port("a"), l.port("b")
			l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 1000, 80, packet.TCPSyn), b)
			before := l.picture()
			_, openBefore := l.opened()
			l.breaks(tt.broken, errors.New("no such device"))
			if err := l.reload(tt.text); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("reload: %v; should say %q", err, tt.says)
			}
			if after := l.picture(); !reflect.DeepEqual(before, after) {
				t.Errorf("the state was\n%+v\nand is\n%+v", before, after)
			}
			if _, openNow := l.opened(); openNow != openBefore {
				t.Errorf("%d ports are open, were %d", openNow, openBefore)
			}
			if !l.passes(b, 1, frame(2, 1, packet.ProtoTCP, 80, 1000, packet.TCPSyn|packet.TCPAckFlag), a) {
				t.Error("the open session does not go on")
			}
		})
	}
}

// spoilPolicies makes files that are no whole policies.
func (l *lab) spoilPolicies() {
	data, err := os.ReadFile(l.path("web.bhp"))
	if err != nil {
		l.t.Fatal(err)
	}
	altered := slices.Clone(data)
	altered[len(altered)/2] ^= 1
	for name, bytes := range map[string][]byte{"short.bhp": data[:len(data)-3], "text.bhp": []byte("version = 1\n"), "altered.bhp": altered} {
		if err := os.WriteFile(l.path(name), bytes, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}

// picture is the declared state, and what is live.
type picture struct {
	generation, next int
	sessions         uint32
	ports            map[string]packet.PortID
	open             []port.Port
	roster           roster
	config           any
	live             *live
}

func (l *lab) picture() picture {
	sw := l.sw
	status, err := sw.Control("", nil).Status()
	if err != nil {
		l.t.Fatal(err)
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	p := picture{generation: int(sw.generation), next: int(sw.nextPort), sessions: status.Sessions, ports: maps.Clone(sw.ports), roster: maps.Clone(sw.roster), config: sw.cfg, live: sw.live.Load()}
	for i := range sw.opened {
		p.open = append(p.open, sw.opened[i].port)
	}
	return p
}

// A port whose successor cannot be opened is opened again as it was. If that
// cannot be done either it is absent, the status says why, a rule can still be
// revoked, and it comes back by itself.
func TestReloadGoesBack(t *testing.T) {
	l := started(t, twoWorkers+"policy = \"web.bhp\"\n"+twoPorts())
	l.breaks("a", errors.New("no such device"))
	err := l.reload(twoWorkers + "policy = \"web.bhp\"\n" + labSegment + member("a", 1, "mtu = 1400") + member("b", 2, ""))
	if err == nil {
		t.Fatal("a port that cannot be opened is no error")
	}
	if status := l.status(); len(status) == 0 || !strings.Contains(strings.Join(status, "\n"), "no such device") {
		t.Errorf("the status does not say why: %q", status)
	}
	for _, policy := range []string{"none.bhp", "web.bhp"} {
		if err := l.load(policy); err != nil {
			t.Errorf("with an absent port no policy can be loaded: %v", err)
		}
	}
	l.breaks("a", nil)
	eventually(t, "port a is open again", func() bool { return l.port("a").Status().Up })
	if mtu := l.port("a").Info().MTU; mtu != 1500 {
		t.Errorf("it has MTU %d, not what is in force", mtu)
	}
	if !l.passes(l.port("a"), 0, frame(1, 2, packet.ProtoTCP, 1000, 80, packet.TCPSyn), l.port("b")) {
		t.Error("nothing passes")
	}
}

// A device that another name gets is let go of first.
func TestReloadRenamesAPort(t *testing.T) {
	l := started(t, labSegment+member("a", 1, "")+member("b", 2, ""))
	old := l.port("a")
	l.odd["z"] = func(p *labPort, i int) port.Queue {
		if !old.closed.Load() {
			t.Error("the device is still the old port's")
		}
		return labQueue{p.Port.Queues()[i], p}
	}
	if err := l.reload(labSegment + strings.Replace(member("a", 1, ""), `name = "a"`, `name = "z"`, 1) + member("b", 2, "")); err != nil {
		t.Fatal(err)
	}
	if !l.port("z").Status().Up {
		t.Error("the renamed port is down")
	}
}

func (l *lab) status() []string {
	l.t.Helper()
	s, err := l.sw.Control("", nil).Status()
	if err != nil {
		l.t.Fatal(err)
	}
	return s.Warnings
}

// Sessions outlive a reload, and a revoked rule acts on the next packet, by
// whichever worker it comes.
func TestReloadSessions(t *testing.T) {
	l := started(t, twoWorkers+"policy = \"both.bhp\"\n"+twoPorts())
	a, b := l.port("a"), l.port("b")
	syn, ack := uint8(packet.TCPSyn), uint8(packet.TCPAckFlag)
	for queue := range 2 {
		if !l.passes(a, queue, frame(1, 2, packet.ProtoTCP, 1000+uint16(queue), 80, syn), b) {
			t.Fatal("the rule does not allow it")
		}
		// The answer comes by the other worker.
		if !l.passes(b, 1-queue, frame(2, 1, packet.ProtoTCP, 80, 1000+uint16(queue), syn|ack), a) {
			t.Fatal("the answer does not pass by the other worker")
		}
	}
	if err := l.reload(twoWorkers + "policy = \"web.bhp\"\n" + twoPorts() + member("c", 3, "")); err != nil {
		t.Fatal(err)
	}
	for queue := range 2 {
		if !l.passes(b, queue, frame(2, 1, packet.ProtoTCP, 80, 1000+uint16(queue), ack), a) {
			t.Error("a session that the new policy allows too is cut")
		}
	}
	if err := l.reload(twoWorkers + "policy = \"dns.bhp\"\n" + twoPorts()); err != nil {
		t.Fatal(err)
	}
	for queue := range 2 {
		if l.passes(a, queue, frame(1, 2, packet.ProtoTCP, 1000+uint16(queue), 80, ack), b) {
			t.Error("a revoked rule still passes a packet forth")
		}
		if l.passes(b, queue, frame(2, 1, packet.ProtoTCP, 80, 1000+uint16(queue), ack), a) {
			t.Error("a revoked rule still passes a packet back")
		}
	}
}

// What is fixed at the start keeps its value, and the status says so, until
// the configuration agrees with it again. It changes nothing else: no port is
// opened anew because the file asks for other workers.
func TestReloadOfWhatNeedsARestart(t *testing.T) {
	l := started(t, twoWorkers+twoPorts())
	ever, _ := l.opened()
	if err := l.reload("workers = 3\ncontrol_group = \"root\"\n" + twoPorts() + "[limits]\nsessions = 4096\nframes = 128\n"); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(l.status(), "\n")
	for _, key := range []string{"workers", "control_group", "limits.sessions", "limits.frames"} {
		if !strings.Contains(text, key) {
			t.Errorf("the status does not say that %s needs a restart: %q", key, text)
		}
	}
	if now, _ := l.opened(); now != ever || len(l.sw.workers) != 2 || l.sw.cfg.Limits.Frames == 128 {
		t.Errorf("%d ports were opened anew", now-ever)
	}
	if err := l.reload(twoWorkers + twoPorts()); err != nil || len(l.status()) != 0 {
		t.Errorf("it is as at the start again: %v, %q", err, l.status())
	}
}

// A reload that fails is in the status until one succeeds.
func TestReloadFailureIsInTheStatus(t *testing.T) {
	l := started(t, twoWorkers+twoPorts())
	l.breaks("c", errors.New("no such device"))
	_ = l.reload(twoWorkers + twoPorts() + member("c", 3, ""))
	if text := strings.Join(l.status(), "\n"); !strings.Contains(text, "no such device") {
		t.Errorf("the status does not say why: %q", text)
	}
	if err := l.reload(twoWorkers + twoPorts()); err != nil || len(l.status()) != 0 {
		t.Errorf("after one that succeeds: %v, %q", err, l.status())
	}
}

// A policy that is not there yet is no reason to refuse a reload where there
// was none before; where one is in force it stays.
func TestReloadWithoutPolicyFile(t *testing.T) {
	l := started(t, "policy = \"later.bhp\"\n"+twoPorts())
	if err := l.reload("policy = \"later.bhp\"\n" + twoPorts() + member("c", 3, "")); err != nil {
		t.Errorf("there was none before: %v", err)
	}
	l.policy("later.bhp", "tcp/80")
	if err := l.reload("policy = \"later.bhp\"\n" + twoPorts()); err != nil || l.sw.rules == nil {
		t.Errorf("now it is there: %v", err)
	}
	if err := os.Remove(l.path("later.bhp")); err != nil {
		t.Fatal(err)
	}
	if err := l.reload("policy = \"later.bhp\"\n" + twoPorts()); err == nil || l.sw.rules == nil {
		t.Errorf("a policy in force is gone with its file: %v", err)
	}
}

// The addresses and routes of a workload come from its segment's gateways, so
// a port is opened anew when these change; one of another segment is not.
func TestReloadOfAGatewayOpensItsPortsAnew(t *testing.T) {
	text := func(gateway string) string {
		return fmt.Sprintf(`
[[segments]]
name = "s"
gateways = [%q]
[[segments]]
name = "other"
gateways = ["10.2.0.254/24"]
[[ports]]
name = "a"
segment = "s"
[[ports]]
name = "b"
segment = "other"
`, gateway)
	}
	l := started(t, text("10.1.0.254/24"))
	a, b := l.port("a"), l.port("b")
	if err := l.reload(text("10.1.0.254/24")); err != nil {
		t.Fatal(err)
	}
	if l.port("a") != a {
		t.Error("opened anew although nothing changed")
	}
	if err := l.reload(text("10.1.0.254/16")); err != nil {
		t.Fatal(err)
	}
	if l.port("a") == a {
		t.Error("it goes on with the gateway that is gone")
	}
	if l.port("b") != b {
		t.Error("a port of another segment was opened anew")
	}
}

// The hits of rules that are long gone are not kept for ever.
func TestRuleTotalsAreBounded(t *testing.T) {
	l := started(t, twoPorts())
	old := &policy.Ruleset{Rules: []policy.Rule{{Name: "kept"}, {Name: "going"}}}
	next := &policy.Ruleset{Rules: []policy.Rule{{Name: "kept"}, {Name: "back"}}}
	for i := range maxRuleTotals {
		l.sw.ruleTotals[countedRule{name: fmt.Sprint("gone", i)}] = 1
	}
	kept, back := countedRule{name: "kept"}, countedRule{name: "back"}
	l.sw.ruleTotals[kept], l.sw.ruleTotals[back] = 7, 5
	l.sw.keepRuleHits(&live{snapshot: &dataplane.Snapshot{Rules: old}, ruleHits: [][]uint64{{1, 2, 0}}}, next)
	if got := l.sw.ruleTotals; len(got) != 2 || got[kept] != 8 || got[back] != 5 {
		t.Errorf("%d rules, kept has %d, back %d", len(got), got[kept], got[back])
	}
}

// A file that never ends, or never begins, is no policy, and does not hold up
// whoever calls next.
func TestPolicyThatCannotBeReadHoldsNobodyUp(t *testing.T) {
	l := started(t, twoPorts())
	if err := unix.Mkfifo(l.path("fifo.bhp"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.path("empty.bhp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{l.path("fifo.bhp"), l.path("empty.bhp"), "/proc/kmsg", "/dev/zero", l.dir} {
		answered := make(chan error, 1)
		go func() {
			_, err := l.sw.Control("", nil).LoadPolicy(&api.PolicyLoad{File: path})
			answered <- err
		}()
		select {
		case err := <-answered:
			if err == nil {
				t.Errorf("%s is a policy", path)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s is read for ever, and the switch is locked meanwhile", path)
		}
	}
	if len(l.status()) == 0 && l.load("web.bhp") != nil {
		t.Error("no policy can be loaded any more")
	}
}

// Segments and VRFs that the file names in another order are the same as
// before: what is known of one, a session or a MAC that was learned, does not
// speak for another.
func TestReloadInAnotherOrder(t *testing.T) {
	in := func(segment, text string) string {
		return strings.ReplaceAll(text, `segment = "s"`, `segment = "`+segment+`"`)
	}
	ports := twoPorts()[len(labSegment):] + in("t", member("c", 1, "")+member("d", 2, ""))
	other := "[[segments]]\nname = \"t\"\nvrf = \"v\"\n"
	l := started(t, "policy = \"web.bhp\"\n"+labSegment+other+ports)
	a, b, c, d := l.port("a"), l.port("b"), l.port("c"), l.port("d")
	ack := uint8(packet.TCPAckFlag)
	if !l.passes(a, 0, frame(1, 2, packet.ProtoTCP, 1000, 80, packet.TCPSyn), b) ||
		!l.passes(b, 0, frame(2, 1, packet.ProtoTCP, 80, 1000, packet.TCPSyn|ack), a) {
		t.Fatal("the rule does not allow it")
	}
	stranger := packet.MAC{2, 9, 9, 9, 9, 9}
	l.sw.state.FDB.Learn(0, stranger, fdb.AtPeer(0, 0), l.sw.now())
	if err := l.reload("policy = \"web.bhp\"\n" + other + labSegment + ports); err != nil {
		t.Fatal(err)
	}
	if l.passes(d, 0, frame(2, 1, packet.ProtoTCP, 80, 1000, packet.TCPSyn|ack), c) {
		t.Error("an answer passes in a VRF in which nobody asked")
	}
	if !l.passes(b, 0, frame(2, 1, packet.ProtoTCP, 80, 1000, ack), a) {
		t.Error("the session that was open is not known any more")
	}
	if _, found := l.sw.state.FDB.Lookup(0, stranger, l.sw.now()); found {
		t.Error("a MAC that was learned in one segment is known in another")
	}
}

// A VRF keeps its number; that of one that has gone is not the next one's.
func TestZonesAreNotGivenAgainSoon(t *testing.T) {
	of := func(vrfs ...string) *config.Config {
		cfg := &config.Config{}
		for _, name := range vrfs {
			cfg.Segments = append(cfg.Segments, config.Segment{VRF: name})
		}
		return cfg
	}
	first := zones{}.follow(of("a", "b", "b"))
	second := first.follow(of("c", "b"))
	third := second.follow(of("a", "c", "b"))
	for name, n := range second.of {
		if n == 0 || third.of[name] != n {
			t.Errorf("VRF %s was %d and is %d", name, n, third.of[name])
		}
	}
	if first.of["b"] != second.of["b"] || second.of["c"] == first.of["a"] || third.of["a"] == first.of["a"] {
		t.Errorf("%v, then %v, then %v", first.of, second.of, third.of)
	}
	wrapped := zones{of: map[string]uint16{"a": 1}, last: 1<<16 - 1}.follow(of("a", "b"))
	if wrapped.of["a"] != 1 || wrapped.of["b"] != 2 {
		t.Errorf("at the end of the numbers: %v", wrapped.of)
	}
}

// A link that cannot be set up is tried again, and the port says why meanwhile.
func TestALinkIsSetUpAgain(t *testing.T) {
	l := newLab(t, twoPorts())
	no := errors.New("no carrier for you")
	refuse := func(p *labPort) { p.upErr.Store(&no) }
	l.odd["a"] = func(p *labPort, i int) port.Queue { refuse(p); return labQueue{p.Port.Queues()[i], p} }
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	a := l.port("a")
	up, why := l.sw.Control("", nil).health(a.id, a)
	if up || !strings.Contains(why, no.Error()) {
		t.Errorf("up %v, because %q", up, why)
	}
	a.upErr.Store(nil)
	eventually(t, "it is up", func() bool { up, _ := l.sw.Control("", nil).health(a.id, a); return up })
}

// A port whose link cannot be set up, and that a reload takes away, is not set up any
// more: the mender would do it to nothing.
func TestALinkOfAPortThatIsGoneIsNotSetUp(t *testing.T) {
	l := newLab(t, twoPorts())
	no := errors.New("no carrier for you")
	l.odd["a"] = func(p *labPort, i int) port.Queue { p.upErr.Store(&no); return labQueue{p.Port.Queues()[i], p} }
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	if err := l.reload(labSegment + member("b", 2, "")); err != nil {
		t.Fatal(err)
	}
	l.sw.mendOnce(time.Now())
	l.sw.notUp.Range(func(id, why any) bool {
		t.Errorf("port number %d, which is nobody's, is to be set up: %v", id, why)
		return true
	})
}
