package dataplane_test

import (
	"net/netip"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
)

// The rig: web (port 1) and db (port 2) in one segment, api (port 3) in
// another of the same VRF. web may connect db on tcp/5432 and api on udp/53;
// nobody may telnet.
var (
	macWeb, macDB, macAPI = packet.MAC{2, 0, 0, 0, 0, 1}, packet.MAC{2, 0, 0, 0, 0, 2}, packet.MAC{2, 0, 0, 0, 0, 3}
	macGW                 = packet.MAC{2, 0xbb, 0, 0, 0, 0xfe}
	broadcast             = packet.MAC{255, 255, 255, 255, 255, 255}
)

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

type rig struct {
	t        *testing.T
	worker   *dataplane.Worker
	snapshot *dataplane.Snapshot
	batch    packet.Batch
	now      dataplane.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	sessions, err := dataplane.NewSessions(conntrack.Config{Sessions: 1024}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sessions.Close)
	macs, err := fdb.New(fdb.Config{Entries: 1024})
	if err != nil {
		t.Fatal(err)
	}
	state := &dataplane.State{Sessions: sessions, FDB: macs, Neighbours: route.NewNeighbours()}
	r := &rig{t: t, worker: dataplane.NewWorker(state, 0, 1), now: 1e9}
	r.link(true, 2)
	return r
}

// link makes the next snapshot: with the rule web-to-db or without, the
// database on the port given.
func (r *rig) link(allowed bool, dbPort packet.PortID) {
	tcp := func(lo uint16) policy.Port { return policy.Port{Proto: 6, SrcHi: 65535, DstLo: lo, DstHi: lo} }
	rs := &policy.Ruleset{
		Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}, {Kind: policy.KindService, Name: "web"}, {Kind: policy.KindService, Name: "db"}, {Kind: policy.KindService, Name: "api"}},
		Rules: []policy.Rule{
			{Name: "no-telnet", From: []policy.SetID{0}, To: []policy.SetID{0}, Ports: []policy.Port{tcp(23)}},
			{Name: "web-to-api", Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{3}, Ports: []policy.Port{{Proto: 17, SrcHi: 65535, DstLo: 53, DstHi: 53}}},
		},
	}
	if allowed {
		rs.Rules = append(rs.Rules, policy.Rule{Name: "web-to-db", Verdict: policy.Allow, From: []policy.SetID{1}, To: []policy.SetID{2}, Ports: []policy.Port{tcp(5432)}})
	}
	b := identity.NewBuilder()
	for i, e := range []struct {
		name    string
		port    packet.PortID
		segment uint16
		mac     packet.MAC
		v4, v6  string
	}{{"web", 1, 0, macWeb, "10.0.0.1", "fd00::1"}, {"db", dbPort, 0, macDB, "10.0.0.2", "fd00::2"}, {"api", 3, 1, macAPI, "10.0.1.3", "fd00:1::3"}} {
		sets := []uint32{0, uint32(i + 1)}
		b.Endpoint(identity.Endpoint{Name: e.name, Segment: e.segment, Zone: 1, MAC: e.mac, Port: e.port, Peer: identity.NoPeer},
			[]identity.Address{{Addr: addr(e.v4), Sets: sets}, {Addr: addr(e.v6), Sets: sets}}, nil)
	}
	table, err := b.Build()
	if err != nil {
		r.t.Fatal(err)
	}
	engine, err := classify.Link(rs, table.AllSets())
	if err != nil {
		r.t.Fatal(err)
	}
	routes := route.NewBuilder()
	routes.Connected(1, netip.MustParsePrefix("10.0.0.0/24"), 0)
	routes.Connected(1, netip.MustParsePrefix("10.0.1.0/24"), 1)
	rt, err := routes.Build()
	if err != nil {
		r.t.Fatal(err)
	}
	generation := uint32(1)
	if r.snapshot != nil {
		generation = r.snapshot.Generation + 1
	}
	port := func(segment uint16) dataplane.Port {
		return dataplane.Port{Role: dataplane.RoleWorkload, Segment: segment, MTU: 1500}
	}
	gateway := func(v4, v6 string) []dataplane.Gateway {
		return []dataplane.Gateway{{Addr: addr(v4), Bits: 24}, {Addr: addr(v6), Bits: 64}}
	}
	r.snapshot = &dataplane.Snapshot{
		Generation: generation, Identity: table, Policy: engine, Rules: rs, Routes: rt,
		Ports: []dataplane.Port{{}, port(0), port(0), port(1), port(0)},
		Segments: []dataplane.Segment{
			{Zone: 1, MTU: 1500, GatewayMAC: macGW, Gateways: gateway("10.0.0.254", "fd00::fe"), Ports: []packet.PortID{1, 2, 4}},
			{Zone: 1, MTU: 1400, GatewayMAC: macGW, Gateways: gateway("10.0.1.254", "fd00:1::fe"), Ports: []packet.PortID{3}},
		},
		Underlay: dataplane.Underlay{Port: packet.NoPort},
	}
	r.worker.Counters.Rules = make([]uint64, len(rs.Rules)+1)
}

// send carries one frame through the walk and returns how it ended; the
// accounts must balance afterwards, on every port.
func (r *rig) send(port packet.PortID, s packet.Spec) *packet.Frame {
	r.t.Helper()
	b, err := packet.Build(s)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.sendBytes(port, b)
}

func (r *rig) sendBytes(port packet.PortID, b []byte) *packet.Frame {
	r.t.Helper()
	r.batch.Reset()
	*r.batch.Next() = *packet.NewFrame(b, port)
	dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	for i := range r.worker.Counters.Ports {
		if !r.worker.Counters.Ports[i].Balanced() {
			r.t.Errorf("the accounts of port %d do not balance: %+v", i, r.worker.Counters.Ports[i])
		}
	}
	return r.batch.Frame(0)
}

func tcpTo(src, dst packet.MAC, from, to string, dport uint16, flags uint8) packet.Spec {
	return packet.Spec{SrcMAC: src, DstMAC: dst, Src: addr(from), Dst: addr(to), Proto: packet.ProtoTCP, SrcPort: 40000, DstPort: dport, TCPFlags: flags}
}

func TestHowFramesEnd(t *testing.T) {
	syn := uint8(packet.TCPSyn)
	arp := func(mac packet.MAC, from, to string) packet.Spec {
		return packet.Spec{SrcMAC: mac, DstMAC: broadcast, Src: addr(from), Dst: addr(to), ARP: packet.ARPRequest}
	}
	echo := func(to string, proto, kind uint8) packet.Spec {
		from := "10.0.0.1"
		if proto == packet.ProtoICMPv6 {
			from = "fd00::1"
		}
		return packet.Spec{SrcMAC: macWeb, DstMAC: macGW, Src: addr(from), Dst: addr(to), Proto: proto, ICMPType: kind, ICMPID: 7}
	}
	udp := func(mutate func(*packet.Spec)) packet.Spec {
		s := packet.Spec{SrcMAC: macWeb, DstMAC: macGW, Src: addr("10.0.0.1"), Dst: addr("10.0.1.3"), Proto: packet.ProtoUDP, SrcPort: 999, DstPort: 53}
		mutate(&s)
		return s
	}
	cases := []struct {
		name   string
		port   packet.PortID
		spec   packet.Spec
		reason drop.Reason
		egress packet.PortID // NoPort with None: taken in, and answered
	}{
		{"allowed_v4", 1, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5432, syn), drop.None, 2},
		{"allowed_v6", 1, tcpTo(macWeb, macDB, "fd00::1", "fd00::2", 5432, syn), drop.None, 2},
		{"no_rule", 2, tcpTo(macDB, macWeb, "10.0.0.2", "10.0.0.1", 5432, syn), drop.NoRule, 0},
		{"other_port", 1, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5433, syn), drop.NoRule, 0},
		{"deny_rule", 1, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 23, syn), drop.Denied, 0},
		{"routed_v4", 1, udp(func(*packet.Spec) {}), drop.None, 3},
		{"routed_ttl_is_up", 1, udp(func(s *packet.Spec) { s.TTL = 1 }), drop.TTLExceeded, 0},
		{"routed_too_big", 1, udp(func(s *packet.Spec) { s.Payload = make([]byte, 1450) }), drop.TooBig, 0},
		{"no_route", 1, udp(func(s *packet.Spec) { s.Dst = addr("192.0.2.1") }), drop.NoRoute, 0},
		{"nobody_there", 1, udp(func(s *packet.Spec) { s.Dst = addr("10.0.1.77") }), drop.NoNeighbour, 0},
		{"ack_without_session", 1, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5432, packet.TCPAckFlag), drop.TCPNoSession, 0},
		{"xmas", 1, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5432, packet.TCPFin|packet.TCPPsh|packet.TCPUrg), drop.TCPInvalid, 0},
		{"spoofed_mac", 1, tcpTo(macDB, macWeb, "10.0.0.2", "10.0.0.1", 5432, syn), drop.SpoofedMAC, 0},
		{"spoofed_ip", 1, tcpTo(macWeb, macDB, "10.0.0.9", "10.0.0.2", 5432, syn), drop.SpoofedIP, 0},
		{"spoofed_ip_of_another", 1, tcpTo(macWeb, macAPI, "10.0.0.2", "10.0.1.3", 53, syn), drop.SpoofedIP, 0},
		{"misdirected", 1, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.1.3", 53, syn), drop.Misdirected, 0},
		{"unicast_ip_to_broadcast_mac", 1, tcpTo(macWeb, broadcast, "10.0.0.1", "10.0.0.2", 5432, syn), drop.Misdirected, 0},
		{"unknown_mac", 1, tcpTo(macWeb, packet.MAC{2, 9, 9, 9, 9, 9}, "10.0.0.1", "10.0.0.77", 5432, syn), drop.UnknownUnicast, 0},
		{"martian", 1, tcpTo(macWeb, macGW, "10.0.0.1", "127.0.0.1", 80, syn), drop.Martian, 0},
		{"multicast_source", 1, tcpTo(macWeb, macDB, "224.0.0.9", "10.0.0.2", 5432, syn), drop.Martian, 0},
		{"loopback_source", 1, tcpTo(macWeb, macDB, "::1", "fd00::2", 5432, syn), drop.Martian, 0},
		{"broadcast_off", 1, udp(func(s *packet.Spec) { s.DstMAC, s.Dst = broadcast, addr("10.0.0.255") }), drop.FloodOff, 0},
		{"dhcp_server", 1, udp(func(s *packet.Spec) { s.SrcPort = 67 }), drop.RogueDHCP, 0},
		{"vlan", 1, udp(func(s *packet.Spec) { s.VLANs = []uint16{5} }), drop.VLANTag, 0},
		{"unknown_port", 7, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5432, syn), drop.UnknownPort, 0},
		{"unbound_port", 4, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5432, syn), drop.SpoofedMAC, 0},
		{"arp_answered", 1, arp(macWeb, "10.0.0.1", "10.0.0.2"), drop.None, packet.NoPort},
		{"arp_for_gateway", 1, arp(macWeb, "10.0.0.1", "10.0.0.254"), drop.None, packet.NoPort},
		{"arp_unknown", 1, arp(macWeb, "10.0.0.1", "10.0.0.77"), drop.ARPUnknown, 0},
		{"arp_spoofed", 1, arp(macWeb, "10.0.0.2", "10.0.0.254"), drop.SpoofedARP, 0},
		{"gateway_echo_v4", 1, echo("10.0.0.254", packet.ProtoICMP, packet.ICMPEchoRequest), drop.None, packet.NoPort},
		{"gateway_echo_v6", 1, echo("fd00::fe", packet.ProtoICMPv6, packet.ICMPv6EchoRequest), drop.None, packet.NoPort},
		{"gateway_has_no_services", 1, tcpTo(macWeb, macGW, "10.0.0.1", "10.0.0.254", 22, syn), drop.NotForGateway, 0},
		{"echo_reply_unasked", 1, packet.Spec{SrcMAC: macWeb, DstMAC: macDB, Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), Proto: packet.ProtoICMP, ICMPType: packet.ICMPEchoReply}, drop.NoRule, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			f := r.send(c.port, c.spec)
			if f.Reason != c.reason {
				t.Fatalf("ended as %s, want %s", f.Reason, c.reason)
			}
			if c.reason != drop.None {
				return
			}
			if c.egress == packet.NoPort {
				if answer := r.batch.Frame(1); !f.Consumed || r.batch.Len() != 2 || answer.Egress != c.port || packet.Parse(answer) != drop.None || answer.Headers.Dst != c.spec.SrcMAC {
					t.Fatalf("not answered: consumed %v, %d frames", f.Consumed, r.batch.Len())
				}
				return
			}
			if f.Egress != c.egress {
				t.Fatalf("went to port %d, want %d", f.Egress, c.egress)
			}
		})
	}
}

// A connection's replies pass without a rule; a move of the database takes the
// open connection along; a rule revoked ends it at the next packet.
func TestAConnectionsLife(t *testing.T) {
	r := newRig(t)
	there := tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5432, packet.TCPSyn)
	there.Seq = 100
	back := packet.Spec{SrcMAC: macDB, DstMAC: macWeb, Src: there.Dst, Dst: there.Src, Proto: packet.ProtoTCP, SrcPort: 5432, DstPort: 40000, TCPFlags: packet.TCPSyn | packet.TCPAckFlag, Seq: 500, Ack: 101}
	data := there
	data.TCPFlags, data.Seq, data.Ack = packet.TCPAckFlag, 101, 501
	expect := func(what string, f *packet.Frame, reason drop.Reason, egress packet.PortID) {
		t.Helper()
		if f.Reason != reason || reason == drop.None && f.Egress != egress {
			t.Fatalf("%s: %s to port %d, want %s to %d", what, f.Reason, f.Egress, reason, egress)
		}
	}
	expect("syn", r.send(1, there), drop.None, 2)
	expect("reply", r.send(2, back), drop.None, 1)
	expect("data", r.send(1, data), drop.None, 2)
	r.link(true, 4)
	expect("data after the move", r.send(1, data), drop.None, 4)
	expect("the old place speaks", r.send(2, back), drop.SpoofedMAC, 0)
	r.link(false, 4)
	expect("data after the revocation", r.send(1, data), drop.NoRule, 0)
	back.TCPFlags, back.Seq, back.Ack = packet.TCPAckFlag, 501, 101
	expect("its reply", r.send(4, back), drop.NoRule, 0)
	r.snapshot.Policy, r.snapshot.Rules = nil, nil
	expect("without a policy", r.send(1, there), drop.NoPolicy, 0)
}

// Explain tells what Run would do, and changes nothing.
func TestExplainChangesNothing(t *testing.T) {
	r := newRig(t)
	b, err := packet.Build(tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5433, packet.TCPSyn))
	if err != nil {
		t.Fatal(err)
	}
	r.batch.Reset()
	*r.batch.Next() = *packet.NewFrame(b, 1)
	rec := dataplane.Explain(r.worker, r.snapshot, r.now, &r.batch)
	if rec.Nearest == "" || len(rec.Steps) < 4 {
		t.Errorf("explained as %+v", rec)
	}
	if c := r.worker.Counters.Ports[1]; c != (dataplane.PortCounters{}) {
		t.Errorf("counters moved: %+v", c)
	}
	sessions := uint32(0)
	r.worker.State.Sessions.Each(func(t *conntrack.Table) { sessions += t.Stats().Sessions })
	if sessions != 0 {
		t.Errorf("%d sessions were opened", sessions)
	}
}

// Run allocates nothing, whatever the frame and however it ends.
func TestRunAllocatesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		port packet.PortID
		spec packet.Spec
	}{
		"allowed":   {1, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 5432, packet.TCPSyn)},
		"v6":        {1, tcpTo(macWeb, macDB, "fd00::1", "fd00::2", 5432, packet.TCPSyn)},
		"denied":    {1, tcpTo(macWeb, macDB, "10.0.0.1", "10.0.0.2", 23, packet.TCPSyn)},
		"spoofed":   {1, tcpTo(macWeb, macDB, "10.0.0.9", "10.0.0.2", 23, packet.TCPSyn)},
		"routed":    {1, packet.Spec{SrcMAC: macWeb, DstMAC: macGW, Src: addr("10.0.0.1"), Dst: addr("10.0.1.3"), Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 53}},
		"ttl":       {1, packet.Spec{SrcMAC: macWeb, DstMAC: macGW, Src: addr("10.0.0.1"), Dst: addr("10.0.1.3"), Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 53, TTL: 1}},
		"arp":       {1, packet.Spec{SrcMAC: macWeb, DstMAC: broadcast, Src: addr("10.0.0.1"), Dst: addr("10.0.0.2"), ARP: packet.ARPRequest}},
		"gateway":   {1, packet.Spec{SrcMAC: macWeb, DstMAC: macGW, Src: addr("10.0.0.1"), Dst: addr("10.0.0.254"), Proto: packet.ProtoICMP, ICMPType: packet.ICMPEchoRequest}},
		"multicast": {1, packet.Spec{SrcMAC: macWeb, DstMAC: broadcast, Src: addr("10.0.0.1"), Dst: addr("224.0.0.1"), Proto: packet.ProtoUDP, DstPort: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			b, err := packet.Build(c.spec)
			if err != nil {
				t.Fatal(err)
			}
			frame := packet.NewFrame(b, c.port)
			buf, start, end := frame.Buf, frame.Start, frame.End
			if n := testing.AllocsPerRun(100, func() {
				copy(buf[start:end], b)
				r.batch.Reset()
				r.batch.Next().Begin(buf, start, end, c.port)
				dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
