package fuzz

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
)

// FuzzEdge runs programs at the edge of a VRF: a workload, a router to the outside,
// translations, questions of DHCP and for routers. Whatever is sent, changed or not,
//
//   - nothing panics, each frame ends once, the accounts balance;
//   - Explain says beforehand what Run does, and maps nothing;
//   - nothing leaves to the outside with an inside source, nor comes in with an
//     outside destination, in its own header or in one that it quotes;
//   - a transport checksum that was right leaves right;
//   - what answers a packet that left reaches who sent it, at the port it sent from.
//
// A program is steps of four bytes: a frame of the pool, by which port, and a change.
func FuzzEdge(f *testing.F) {
	m := newEdge(f)
	for i := range m.pool {
		f.Add([]byte{byte(i), 0, 0, 0})
		for j := range m.pool { // an error is about what came before
			f.Add([]byte{byte(i), 0, 0, 0, byte(j), 0, 0, 0, byte(j), 2, 40, 9})
		}
		f.Add([]byte{byte(i), 4, 36, 1, byte(i), 6, 23, 1, byte(i), 1, 0, 0})
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 128 {
			return
		}
		m.reset(t)
		for ; len(program) >= 4; program = program[4:] {
			m.step(program[0], program[1], program[2], program[3])
		}
	})
}

const (
	edgeWeb, edgeRouter = 1, 2
	edgePorts           = 3
)

var (
	webMAC, routerMAC = packet.MAC{2, 0, 0, 0, 2, 1}, packet.MAC{2, 0, 0, 0, 2, 2}
	web4, web6        = address("10.0.0.1"), packet.Addr{0: 0xfd, 8: 0, 11: 0xff, 12: 0xfe, 13: 0, 14: 2, 15: 1}
	out4, out6        = address("203.0.113.7"), address("2001:db8:f::7")
	far4, far6        = address("198.51.100.9"), address("2001:db8:9::9")
)

// edge is a switch at the edge under a program.
type edge struct {
	testing.TB
	worker   *dataplane.Worker
	snapshot *dataplane.Snapshot
	now      dataplane.Time
	batch    packet.Batch
	pool     []named
}

func newEdge(tb testing.TB) *edge {
	m := &edge{TB: tb, worker: dataplane.NewWorker(nil, 0, 1), now: int64(1000 * time.Second), pool: edgePool(tb)}
	m.snapshot = edgeSnapshot(tb)
	return m
}

func (m *edge) reset(tb testing.TB) {
	m.TB = tb
	m.now += int64(time.Hour)
	state, err := dataplane.NewState(dataplane.StateConfig{Sessions: conntrack.Config{Sessions: 64, Ports: edgePorts}, NAT: nat.Config{Mappings: 16, Quota: 12}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { state.Close() })
	m.worker.State = state
	clear(m.worker.Counters.Ports[:edgePorts])
}

// edgePool is what is sent: each kind of packet that is translated or answered, out
// and in, and errors about them.
func edgePool(tb testing.TB) []named {
	var pool []named
	add := func(name string, port packet.PortID, s packet.Spec) []byte {
		s.SrcMAC, s.DstMAC = webMAC, gatewayMAC
		if port == edgeRouter {
			s.SrcMAC = routerMAC
		}
		b, err := packet.Build(s)
		if err != nil {
			tb.Fatal(name, err)
		}
		pool = append(pool, named{name: name, port: port, bytes: b})
		return b
	}
	for _, v := range []struct {
		name          string
		web, out, far packet.Addr
		icmp, echo    uint8
	}{{"4", web4, out4, far4, packet.ProtoICMP, packet.ICMPEchoRequest}, {"6", web6, out6, far6, packet.ProtoICMPv6, packet.ICMPv6EchoRequest}} {
		add("out_tcp"+v.name, edgeWeb, packet.Spec{Src: v.web, Dst: v.far, Proto: packet.ProtoTCP, SrcPort: 4000, DstPort: 443, TCPOptions: []byte{2, 4, 5, 180}})
		add("out_udp"+v.name, edgeWeb, packet.Spec{Src: v.web, Dst: v.far, Proto: packet.ProtoUDP, SrcPort: 4001, DstPort: 53, Payload: packettest.Payload(9)})
		add("out_echo"+v.name, edgeWeb, packet.Spec{Src: v.web, Dst: v.far, Proto: v.icmp, ICMPType: v.echo, ICMPID: 7, Payload: packettest.Payload(8)})
		in := add("in_udp"+v.name, edgeRouter, packet.Spec{Src: v.far, Dst: v.out, Proto: packet.ProtoUDP, SrcPort: 5000, DstPort: 53})
		add("hairpin"+v.name, edgeWeb, packet.Spec{Src: v.web, Dst: v.out, Proto: packet.ProtoUDP, SrcPort: 4002, DstPort: 53})
		inside := slices.Clone(in)
		f := packet.NewFrame(inside, edgeRouter)
		packet.Parse(f)
		packet.SetDestination(f, &v.web, 5353)
		kind := uint8(packet.ICMPUnreachable)
		if v.icmp == packet.ProtoICMPv6 {
			kind = packet.ICMPv6Unreachable
		}
		add("error_out"+v.name, edgeWeb, packet.Spec{Src: v.web, Dst: v.far, Proto: v.icmp, ICMPType: kind, Payload: f.Bytes()[14:]})
		about, _ := packet.Build(packet.Spec{SrcMAC: webMAC, DstMAC: webMAC, Src: v.out, Dst: v.far, Proto: packet.ProtoUDP, SrcPort: 53, DstPort: 5000})
		add("error_in"+v.name, edgeRouter, packet.Spec{Src: v.far, Dst: v.out, Proto: v.icmp, ICMPType: kind, Payload: about[14:]})
	}
	question, err := packettest.DHCP(webMAC, packet.DHCPDiscover, 7, false, []byte{0, 0, 0, 0})
	if err != nil {
		tb.Fatal(err)
	}
	add("dhcp", edgeWeb, packet.Spec{Src: address("0.0.0.0"), Dst: address("255.255.255.255"), Proto: packet.ProtoUDP, SrcPort: 68, DstPort: 67, Payload: question})
	link := packet.LinkLocal(webMAC)
	add("dhcp6", edgeWeb, packet.Spec{Src: link, Dst: packet.AllDHCP6, Proto: packet.ProtoUDP, SrcPort: 546, DstPort: 547,
		Payload: append([]byte{1, 7, 8, 9, 0, 1, 0, 4, 0, 3, 0, 1, 0, 3, 0, 12}, make([]byte, 12)...)})
	add("solicits", edgeWeb, packet.Spec{Src: link, Dst: address("ff02::2"), Proto: packet.ProtoICMPv6, ICMPType: packet.NDRouterSolicitation})
	return pool
}

// edgeSnapshot is the VRF.
func edgeSnapshot(tb testing.TB) *dataplane.Snapshot {
	s := &dataplane.Snapshot{
		Generation: 1,
		Segments: []dataplane.Segment{
			{Zone: 1, MTU: 1400, GatewayMAC: gatewayMAC, Gateways: gateways("10.0.0.254", "fd00::fe"), DNS: []packet.Addr{address("10.0.0.53"), address("fd00::53")}},
			{Zone: 1, MTU: 1500, GatewayMAC: gatewayMAC, Gateways: gateways("192.0.2.1", "2001:db8:e::1")},
		},
		Ports:    make([]dataplane.Port, edgePorts),
		Underlay: dataplane.Underlay{Port: packet.NoPort},
	}
	for id := range packet.PortID(2) {
		s.Ports[id+1] = dataplane.Port{Role: dataplane.RoleWorkload, Segment: uint16(id), MTU: 1500}
		s.Segments[id].Ports = []packet.PortID{id + 1}
	}
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	all := []uint32{0}
	who := identity.NewBuilder()
	for _, p := range []string{"0.0.0.0/0", "::/0"} {
		who.Outside(netip.MustParsePrefix(p), all)
	}
	at := func(segment uint16, mac packet.MAC, port packet.PortID) identity.Endpoint {
		return identity.Endpoint{Segment: segment, Zone: 1, MAC: mac, Port: port, Peer: dataplane.NoPeer}
	}
	who.Endpoint(at(0, webMAC, edgeWeb), []identity.Address{{Addr: web4, Sets: all}, {Addr: web6, Sets: all}}, nil)
	who.Endpoint(at(1, routerMAC, edgeRouter), []identity.Address{{Addr: address("192.0.2.2"), Sets: all}, {Addr: address("2001:db8:e::2"), Sets: all}},
		[]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	var err error
	s.Identity, err = who.Build()
	must(err)
	ways := route.NewBuilder()
	for i, p := range []string{"192.0.2.0/24", "2001:db8:e::/64"} {
		ways.Connected(1, netip.MustParsePrefix(p), 1)
		ways.Static(1, netip.MustParsePrefix([]string{"0.0.0.0/0", "::/0"}[i]), netip.MustParseAddr([]string{"192.0.2.2", "2001:db8:e::2"}[i]))
	}
	s.Routes, err = ways.Build()
	must(err)
	source := func(from string, pool packet.Addr) nat.Source {
		return nat.Source{Zone: 1, From: netip.MustParsePrefix(from), Pool: []packet.Addr{pool}, Least: 1024, Most: 65535}
	}
	published := func(outside, inside packet.Addr) nat.Destination {
		return nat.Destination{Zone: 1, Proto: packet.ProtoUDP, Outside: nat.End{Addr: outside, Port: 53}, Inside: nat.End{Addr: inside, Port: 5353}}
	}
	s.NAT, err = nat.NewRules([]nat.Source{source("10.0.0.0/24", out4), source("fd00::/64", out6)}, []nat.Destination{published(out4, web4), published(out6, web6)})
	must(err)
	ports := policy.Port{Proto: policy.AnyProto, SrcHi: 65535, DstHi: 65535}
	s.Rules = &policy.Ruleset{
		Sets:  []policy.Set{{Kind: policy.KindAny, Name: "any"}},
		Rules: []policy.Rule{{Name: "all", Verdict: policy.Allow, From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: []policy.Port{ports}}},
	}
	s.Policy, err = classify.Link(s.Rules, s.Identity.AllSets())
	must(err)
	return s
}

// step sends one frame of the pool: by its port or another, changed at a place or
// not, with its checksums made right again or not, or lets time pass.
func (m *edge) step(which, how, at, value byte) {
	n := &m.pool[int(which)%len(m.pool)]
	b, port := slices.Clone(n.bytes), n.port
	if how&1 != 0 {
		port = 3 - port
	}
	if how&2 != 0 {
		b[int(at)%len(b)] = value
	}
	if how&4 != 0 {
		b[int(at)%len(b)] = value
		repair(b)
	}
	if how&8 != 0 {
		m.now += int64(value) * int64(time.Second)
	}
	m.send(b, port)
}

// send holds Run to Explain and to what must hold of what leaves.
func (m *edge) send(b []byte, port packet.PortID) {
	m.begin(b, port)
	before := m.worker.State.NAT.Stats()
	dataplane.Explain(m.worker, m.snapshot, m.now, &m.batch)
	foretold := outcome(m.batch.Frame(0))
	if after := m.worker.State.NAT.Stats(); after.Made != before.Made {
		m.Fatalf("Explain mapped: %+v, then %+v", before, after)
	}
	in := m.begin(b, port)
	right := packet.Parse(in) == drop.None && in.Headers.Kind == packet.KindIP && packet.VerifyChecksum(in)
	in = m.begin(b, port)
	dataplane.Run(m.worker, m.snapshot, m.now, &m.batch)
	if ended := outcome(in); ended != foretold && !slices.Contains(bounds, in.Reason) {
		m.Fatalf("port %d, %x\nExplain says %s\nRun does     %s", port, b, foretold, ended)
	}
	for i := range m.batch.Len() {
		m.holds(m.batch.Frame(i), right)
	}
	for p := range m.worker.Counters.Ports[:edgePorts] {
		if c := &m.worker.Counters.Ports[p]; !c.Balanced() {
			m.Fatalf("the accounts of port %d do not balance: %+v", p, *c)
		}
	}
	m.answer(b, port)
}

func (m *edge) begin(b []byte, port packet.PortID) *packet.Frame {
	m.batch.Reset()
	f := m.batch.Next()
	*f = *packet.NewFrame(slices.Clone(b), port)
	return f
}

// holds checks what leaves, if the frame does.
func (m *edge) holds(f *packet.Frame, right bool) {
	if f.Reason != drop.None || f.Consumed {
		return
	}
	out := packet.NewFrame(f.Bytes(), f.Egress)
	if reason := packet.Parse(out); reason != drop.None {
		m.Fatalf("what leaves does not parse: %s: %x", reason, f.Bytes())
	}
	h := &out.Headers
	if h.Kind != packet.KindIP {
		return
	}
	if (right || f.Copy) && !packet.VerifyChecksum(out) {
		m.Fatalf("a checksum that was right leaves wrong: %x", f.Bytes())
	}
	inside := func(a *packet.Addr) bool { return *a == web4 || *a == web6 }
	outside := func(a *packet.Addr) bool { return *a == out4 || *a == out6 }
	switch {
	case f.Copy: // the switch's own word, to who asked
	case f.Egress == edgeRouter && (inside(&h.Key.Src) || h.ICMPError && inside(&h.Inner.Dst)):
		m.Fatalf("an inside name leaves: %x", f.Bytes())
	case f.Egress == edgeWeb && (outside(&h.Key.Dst) || h.ICMPError && outside(&h.Inner.Src)):
		m.Fatalf("an outside name comes in: %x", f.Bytes())
	}
}

// answer answers a datagram that has left, and expects it where that was sent from.
func (m *edge) answer(b []byte, port packet.PortID) {
	f := m.batch.Frame(0)
	if port != edgeWeb || f.Reason != drop.None || f.Consumed || f.Egress != edgeRouter || f.Headers.Key.Proto != packet.ProtoUDP || f.Headers.Kind != packet.KindIP {
		return
	}
	sent := packet.NewFrame(slices.Clone(b), port)
	packet.Parse(sent)
	k := f.Headers.Key.Reverse()
	reply, err := packet.Build(packet.Spec{SrcMAC: routerMAC, DstMAC: gatewayMAC, Src: k.Src, Dst: k.Dst, SrcPort: k.SrcPort, DstPort: k.DstPort, Proto: packet.ProtoUDP})
	if err != nil {
		m.Fatal(err)
	}
	if k.SrcPort == 67 || k.SrcPort == 547 {
		return // no answer, but a rogue server's
	}
	in := m.begin(reply, edgeRouter)
	dataplane.Run(m.worker, m.snapshot, m.now, &m.batch)
	if in.Reason != drop.None || in.Egress != edgeWeb || in.Headers.Key.Dst != sent.Headers.Key.Src || in.Headers.Key.DstPort != sent.Headers.Key.SrcPort {
		m.Fatalf("the answer to %x, %x, ends as %s, for %s:%d", b, reply, outcome(in), in.Headers.Key.Dst, in.Headers.Key.DstPort)
	}
}
