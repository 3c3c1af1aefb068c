package vswitch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/control/api"
)

// town is a lab with two VRFs, under a policy of a few services and a network
// that rules tell apart; one endpoint is a host, and one more is stated.
const town = `
workers = 2
policy = "town.bhp"
[[segments]]
name = "s"
gateways = ["10.0.0.254/24"]
[[segments]]
name = "v"
vrf = "other"
gateways = ["10.0.0.254/24"]
[[ports]]
name = "a"
segment = "s"
[[ports]]
name = "b"
segment = "s"
[[ports]]
name = "c"
segment = "v"
[[ports]]
name = "h"
segment = "s"
mac = "02:00:00:00:00:30"
ips = ["10.0.0.95"]
host = true
[[ports]]
name = "w"
segment = "s"
mac = "02:00:00:00:00:31"
ips = ["10.0.0.130"]
labels = { app = "s1" }
`

// townPolicy is the text of a policy in which so many services reach each other
// in a row, and each of them what is above 10.0.0.128. Hosts and who is outside
// have rules of their own; of the rules under audit one, or none, is so always,
// others at times, and so are some that allow and deny.
func townPolicy(services int, audited bool) string {
	text := "version = 1\n"
	for i := range services {
		text += fmt.Sprintf("[services.s%d]\nlabels = { app = \"s%d\" }\n", i, i)
	}
	text += "[services.all]\nlabels = { team = \"x\" }\n[networks.high]\ncidrs = [\"10.0.0.128/25\"]\n"
	for i := range services {
		text += fmt.Sprintf("[[rules]]\nname = \"r%d\"\nallow = { from = [\"s%d\"], to = [\"s%d\", \"high\"], ports = [\"tcp/%d\"] }\n", i, i, (i+1)%services, 80+i)
	}
	if audited {
		text += "[[rules]]\nname = \"trial\"\naudit = true\ndeny = { from = [\"s1\", \"outside\"], to = [\"any\"], ports = [\"udp/53\", \"tcp/80-83\"] }\n"
	}
	return text + townRules
}

// Times are seconds: a window from 1000 until 2000, and what comes after it.
const townRules = `
[[rules]]
name = "all"
stateless = true
allow = { from = ["all"], to = ["any"], ports = ["udp/53"] }
[[rules]]
name = "hosts"
log = true
allow = { from = ["host"], to = ["any"], ports = ["tcp/80-85"] }
[[rules]]
name = "strangers"
allow = { from = ["outside"], to = ["s0", "host"], ports = ["tcp/84"] }
[[rules]]
name = "window"
valid = { from = 1970-01-01T00:16:40Z, until = 1970-01-01T00:33:20Z }
allow = { from = ["s2"], to = ["outside"], ports = ["tcp/80-90"] }
[[rules]]
name = "window-trial"
audit = true
valid = { from = 1970-01-01T00:16:40Z, until = 1970-01-01T00:33:20Z }
deny = { from = ["host", "s3"], to = ["any"], ports = ["any"] }
[[rules]]
name = "after"
valid = { from = 1970-01-01T00:33:20Z }
deny = { from = ["s3"], to = ["high"], ports = ["tcp/80-90"] }
`

// inTown is a started lab of the town; the clock is at second 500.
func inTown(t testing.TB) (*lab, *wallClock) {
	t.Helper()
	l, clock := newLab(t, strings.Replace(town, "policy = \"town.bhp\"\n", "", 1)), &wallClock{}
	clock.at.Store(500)
	l.sw.wall = clock.now
	l.policyText("town.bhp", townPolicy(4, true))
	l.policyText("other.bhp", townPolicy(6, false))
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	if err := l.load("town.bhp"); err != nil {
		t.Fatal(err)
	}
	return l, clock
}

func (l *lab) endpoint(c api.EndpointChange) (uint32, error) {
	done, err := l.sw.Control("", nil).ChangeEndpoint(&c)
	if err != nil {
		return 0, err
	}
	return done.Generation, nil
}

// drawChange draws a change of an endpoint; some contradict others.
func drawChange(r *rand.Rand) api.EndpointChange {
	c := api.EndpointChange{
		Op: []string{"add", "add", "move", "del"}[r.IntN(4)], Name: fmt.Sprint("e", r.IntN(25)), Port: string(rune('a' + r.IntN(3))),
	}
	if r.IntN(8) == 0 {
		c.Name = []string{"h", "w"}[r.IntN(2)]
	}
	if c.Op == api.EndpointAdd {
		c.MAC = fmt.Sprintf("02:00:00:00:00:%02x", r.IntN(40))
		for range 1 + r.IntN(2) {
			c.IPs = append(c.IPs, fmt.Sprintf("10.0.0.%d", 100+r.IntN(60)))
		}
		c.Labels = map[string]string{"app": fmt.Sprint("s", r.IntN(8))}
		if r.IntN(3) == 0 {
			c.Labels["team"] = "x"
		}
	}
	return c
}

// eachTownAddr goes through what addresses a session could be of.
func eachTownAddr(do func(zone uint16, a packet.Addr)) {
	for zone := range uint16(4) {
		for host := range 80 {
			do(zone, packet.AddrFrom4([4]byte{10, 0, 0, byte(90 + host)}))
		}
		for _, a := range [][4]byte{{10, 0, 0, 0}, {10, 0, 0, 254}, {10, 0, 0, 255}, {10, 0, 1, 0}, {192, 0, 2, 1}, {224, 0, 0, 1}, {255, 255, 255, 255}} {
			do(zone, packet.AddrFrom4(a))
		}
		do(zone, packet.AddrFrom(netip.MustParseAddr("fe80::1")))
		do(zone, packet.AddrFrom(netip.MustParseAddr("2001:db8::1")))
	}
}

// answersOf are the sets of every address.
func answersOf(s *dataplane.Snapshot) string {
	var b strings.Builder
	eachTownAddr(func(zone uint16, a packet.Addr) {
		id, _ := s.Identity.Identify(zone, &a)
		fmt.Fprint(&b, s.Identity.Sets(id), ";")
	})
	return b.String()
}

// sameAsWhole holds the snapshot in force against one that is linked from the
// start, and both against the list of rules. It returns of how many questions a
// rule under audit had something to say.
func (l *lab) sameAsWhole(r *rand.Rand) (audits int) {
	l.t.Helper()
	sw := l.sw
	sw.mu.Lock()
	defer sw.mu.Unlock()
	got := sw.live.Load().snapshot
	view, _ := sw.viewOf(sw.rules)
	linked, err := link(sw.cfg, sw.roster, sw.indexOf(view), sw.ports, sw.opened, sw.zones, sw.mirrors, got.Generation)
	if err != nil {
		l.t.Fatal(err)
	}
	want := linked.s
	l.meansWhatTheRosterSays(got)
	if x, y := answersOf(got), answersOf(want); x != y || got.Identity.Len() != want.Identity.Len() {
		l.t.Fatalf("addresses mean %s; linked from the start %s", x, y)
	}
	eachTownAddr(func(zone uint16, a packet.Addr) {
		to := packet.AddrFrom4([4]byte{10, 0, 0, byte(90 + r.IntN(80))})
		port, mac, segment := packet.PortID(r.IntN(4)), packet.MAC{2, 0, 0, 0, 0, byte(r.IntN(40))}, uint16(r.IntN(3))
		if ep, _, found := want.Identity.ByAddr(zone, &a); found && r.IntN(2) == 0 {
			e := want.Identity.Endpoint(ep)
			port, mac, segment = e.Port, e.MAC, e.Segment
		}
		_, bound := got.Identity.Source(port, segment, mac, zone, &a)
		if _, bound2 := want.Identity.Source(port, segment, mac, zone, &a); bound != bound2 {
			l.t.Fatalf("%s may send from %s on %d: %v; linked from the start %v", mac, a, port, bound, bound2)
		}
		from, _ := got.Identity.Identify(zone, &a)
		dest, _ := got.Identity.Identify(zone, &to)
		proto, dport := uint8(packet.ProtoTCP), uint16(78+r.IntN(10))
		if r.IntN(3) == 0 {
			proto, dport = packet.ProtoUDP, 53
		}
		rule, verdict := got.Policy.Decide(from, dest, proto, 1000, dport)
		rule2, verdict2 := got.Rules.Decide(setIDs(got.Identity.Sets(from)), setIDs(got.Identity.Sets(dest)), proto, 1000, dport)
		if rule != rule2 || verdict != verdict2 {
			l.t.Fatalf("%s to %s, %d/%d: rule %d, %s; the list says %d, %s", a, to, proto, dport, int32(rule), verdict, int32(rule2), verdict2)
		}
		audit, found := got.Policy.WouldDeny(from, dest, proto, 1000, dport)
		audit2, found2 := got.Rules.WouldDeny(setIDs(got.Identity.Sets(from)), setIDs(got.Identity.Sets(dest)), proto, 1000, dport)
		if found != found2 || found && audit != audit2 {
			l.t.Fatalf("%s to %s, %d/%d: rule %d would have denied it, %v; the list says %d, %v", a, to, proto, dport, int32(audit), found, int32(audit2), found2)
		}
		if found {
			audits++
		}
	})
	return audits
}

// meansWhatTheRosterSays holds each address against the roster, in the plainest
// way: whose it is, of what services, or that it is nobody's and thus outside.
func (l *lab) meansWhatTheRosterSays(s *dataplane.Snapshot) {
	l.t.Helper()
	holder := map[string]endpoint{}
	for _, e := range l.sw.roster {
		for _, ip := range e.IPs {
			holder[fmt.Sprint(l.sw.zones.of[l.sw.cfg.Segment(e.Segment).VRF], packet.AddrFrom(ip))] = e
		}
	}
	eachTownAddr(func(zone uint16, a packet.Addr) {
		want := s.Rules.OutsideOf(a.Netip())
		if text := a.String(); text == "10.0.0.0" || text == "10.0.0.255" { // a segment's broadcast
			want = s.Rules.NetworksOf(a.Netip())
		}
		if e, held := holder[fmt.Sprint(zone, a)]; held {
			want = append(s.Rules.ServicesOf(e.Labels), s.Rules.NetworksOf(a.Netip())...)
			slices.Sort(want)
			want = slices.Compact(want)
		}
		id, _ := s.Identity.Identify(zone, &a)
		if got := setIDs(s.Identity.Sets(id)); !slices.Equal(got, want) {
			l.t.Fatalf("%s in VRF %d is of sets %v, want %v", a, zone, got, want)
		}
	})
}

func setIDs(sets []uint32) []policy.SetID {
	out := make([]policy.SetID, len(sets))
	for i, s := range sets {
		out[i] = policy.SetID(s)
	}
	return out
}

// Whatever is added, moved, deleted, loaded and reloaded, whatever the time: what
// is in force is what a link from the start makes of it, a refused change changes
// nothing, and the generation is a new one exactly if an address means something
// else, or other rules speak. Workers carry frames meanwhile.
func TestChangesAgreeWithTheWholeLink(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 5))
	l, clock := inTown(t)
	stop := l.traffic()
	done, refused, kept, late, audits := 0, 0, 0, 0, 0
	for i := range 1500 {
		switch r.IntN(60) {
		case 0:
			if err := l.load([]string{"town.bhp", "other.bhp"}[r.IntN(2)]); err != nil {
				t.Fatal(err)
			}
		case 1:
			before := l.sw.live.Load()
			err := l.reload(strings.Replace(town, "town.bhp", []string{"town.bhp", "other.bhp"}[r.IntN(2)], 1))
			if taken := err != nil && strings.Contains(err.Error(), `and "w" have one address`); err != nil && !taken || taken && l.sw.live.Load() != before {
				t.Fatal(err) // else somebody has the address that w has in the configuration
			}
		case 2, 3, 4, 5:
			clock.at.Store([]int64{500, 1500, 2500}[r.IntN(3)])
			if r.IntN(2) == 0 {
				go l.sw.turn()
			}
		}
		c := drawChange(r)
		before, roster := l.inForce()
		if !before.around.Has(clock.at.Load()) { // the keeper of the time may be first
			l.lateChange(c, before)
			late++
			continue
		}
		generation, err := l.endpoint(c)
		after := l.sw.live.Load()
		if err != nil {
			refused++
			if after != before || !maps.EqualFunc(roster, l.roster(), func(a, b endpoint) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Fatalf("%+v was refused, %v, and something changed", c, err)
			}
			continue
		}
		done++
		if differ := answersOf(before.snapshot) != answersOf(after.snapshot); differ != (generation != before.snapshot.Generation) {
			t.Fatalf("%+v: generation %d after %d; addresses that mean something else: %v", c, generation, before.snapshot.Generation, differ)
		} else if !differ {
			kept++
		}
		if after.around != before.around || &after.audits[0] != &before.audits[0] || &after.ruleHits[0] != &before.ruleHits[0] {
			t.Fatalf("%+v: from another time, or counted anew", c)
		}
		if i%5 == 0 {
			audits += l.sameAsWhole(r)
		}
	}
	stop()
	t.Logf("%d changes, %d of them without a new generation, %d refused, %d as other rules speak; %d audits", done, kept, refused, late, audits)
	if done < 200 || refused < 50 || kept < 20 || late < 3 || audits < 100 {
		t.Error("that was no test")
	}
}

// lateChange makes a change at a time for which other rules speak than are in
// force: those are never linked once more.
func (l *lab) lateChange(c api.EndpointChange, before *live) {
	l.t.Helper()
	if _, err := l.endpoint(c); err != nil {
		l.sw.turn()
	}
	after := l.sw.live.Load()
	if !after.around.Has(l.sw.wall().Unix()) || after.snapshot.Generation == before.snapshot.Generation {
		l.t.Fatalf("%+v: at second %d rules are in force of %s, generation %d after %d", c, l.sw.wall().Unix(), after.around, after.snapshot.Generation, before.snapshot.Generation)
	}
}

// traffic has frames come in at every port, from MACs and addresses that may be
// bound there or not, until it is stopped.
func (l *lab) traffic() (stop func()) {
	var over atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r := rand.New(rand.NewPCG(1, 1))
		for !over.Load() {
			host := func() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + r.IntN(60))}) }
			b, err := packet.Build(packet.Spec{
				SrcMAC: packet.MAC{2, 0, 0, 0, 0, byte(r.IntN(40))}, DstMAC: packet.MAC{2, 0, 0, 0, 0, byte(r.IntN(40))},
				Src: packet.AddrFrom(host()), Dst: packet.AddrFrom(host()), Proto: packet.ProtoUDP, SrcPort: 1000, DstPort: 53,
			})
			if err != nil {
				panic(err)
			}
			for _, name := range []string{"a", "b", "c"} {
				if p := l.port(name); p != nil && !p.closed.Load() {
					_ = p.Inject(0, b, packet.Offload{}) // no room: it is lost
					p.Take(0)
				}
			}
			time.Sleep(20 * time.Microsecond)
		}
	}()
	return func() { over.Store(true); <-stopped }
}

// A moved endpoint's connections go on and are not asked again; one that is
// deleted and comes back as another service's has lost them.
func TestAMoveKeepsSessionsARelabelAsksThem(t *testing.T) {
	l, _ := inTown(t)
	add := func(name, port, app string, i int) uint32 {
		g, err := l.endpoint(api.EndpointChange{Op: "add", Name: name, Port: port, MAC: fmt.Sprintf("02:00:00:00:00:%02x", i), IPs: []string{fmt.Sprint("10.0.0.", i)}, Labels: map[string]string{"app": app}})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	add("client", "a", "s0", 1)
	before := add("server", "b", "s1", 2)
	syn, ack := frame(1, 2, packet.ProtoTCP, 1000, 80, packet.TCPSyn), frame(2, 1, packet.ProtoTCP, 80, 1000, packet.TCPSyn|packet.TCPAckFlag)
	if !l.passes(l.port("a"), 0, syn, l.port("b")) {
		t.Fatal("the policy does not allow it")
	}
	moved, err := l.endpoint(api.EndpointChange{Op: "move", Name: "server", Port: "a"})
	if err != nil || moved != before {
		t.Fatalf("moved: generation %d after %d, %v", moved, before, err)
	}
	if moved, err = l.endpoint(api.EndpointChange{Op: "move", Name: "client", Port: "b"}); err != nil || moved != before {
		t.Fatalf("moved: generation %d after %d, %v", moved, before, err)
	}
	if l.passes(l.port("b"), 0, ack, l.port("a")) {
		t.Error("it may still send from where it was")
	}
	if !l.passes(l.port("a"), 0, ack, l.port("b")) {
		t.Error("a moved endpoint's answer does not pass")
	}
	if _, err := l.endpoint(api.EndpointChange{Op: "del", Name: "server"}); err != nil {
		t.Fatal(err)
	}
	if again := add("server", "a", "s3", 2); again == before {
		t.Fatal("another service, the same generation")
	}
	if l.passes(l.port("a"), 0, ack, l.port("b")) {
		t.Error("an answer passes in a connection that no rule allows any more")
	}
}

// A linker that was broken by a change, or is worn, is not gone on with.
func TestABrokenLinkerLinksTheWhole(t *testing.T) {
	l, _ := inTown(t)
	l.sw.linked.broken = true
	old := l.sw.linked
	c := api.EndpointChange{Op: "add", Name: "x", Port: "a", MAC: "02:00:00:00:00:01", IPs: []string{"10.0.0.1"}}
	if _, err := l.endpoint(c); err != nil {
		t.Fatal(err)
	}
	if l.sw.linked == old || l.sw.linked.broken {
		t.Error("it was gone on with")
	}
	l.sw.linked.broken = true
	c.Name = "y"
	if _, err := l.endpoint(c); err == nil || !strings.Contains(err.Error(), "one MAC") {
		t.Errorf("a contradiction: %v", err)
	}
	if in := l.roster(); len(in) != 3 || in["y"].Name != "" {
		t.Errorf("what was refused is in the roster: %v", slices.Collect(maps.Keys(in)))
	}
	l.sameAsWhole(rand.New(rand.NewPCG(1, 1)))
}
