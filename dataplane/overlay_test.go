package dataplane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
	"bulkhead/dataplane/vxlan"
)

// The overlay's rig: web on port 1, the uplink is port 5. Peer 0, "k", has db,
// a router with 10.9.0.0/16 behind it, and far in the other segment; peer 1,
// "b", has app, and is in segment 0 only. Anybody may connect to tcp/5432 and
// send udp/53. VNIs are 100 and 101.
const uplink = packet.PortID(5)

var (
	webMAC, dbMAC, apiMAC = packet.MAC{2, 0, 0, 0, 0, 1}, packet.MAC{2, 0, 0, 0, 0, 2}, packet.MAC{2, 0, 0, 0, 0, 3}
	farMAC, appMAC        = packet.MAC{2, 0, 0, 0, 0, 4}, packet.MAC{2, 0, 0, 0, 0, 5}
	routerMAC             = packet.MAC{2, 0, 0, 0, 0, 6}
	nobodyMAC             = packet.MAC{2, 0, 0, 0, 0, 0x66}
	gwMAC                 = packet.MAC{2, 0xbb, 0, 0, 0, 0xfe}
	everybody             = packet.MAC{255, 255, 255, 255, 255, 255}

	kMAC, vtepMAC, nextMAC = packet.MAC{2, 0, 0, 0, 0, 0x10}, packet.MAC{2, 0, 0, 0, 0, 0x11}, packet.MAC{2, 0, 0, 0, 0, 0x12}
)

func addrOf(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

func tcpSpec(src, dst packet.MAC, from, to string, dport uint16, flags uint8) packet.Spec {
	return packet.Spec{SrcMAC: src, DstMAC: dst, Src: addrOf(from), Dst: addrOf(to), Proto: packet.ProtoTCP, SrcPort: 40000, DstPort: dport, TCPFlags: flags}
}

// under is the underlay of a rig: our VTEP and the two peers.
type under struct{ local, k, b string }

var (
	under4 = under{"192.0.2.1", "192.0.2.2", "192.0.2.3"}
	under6 = under{"2001:db8::1", "2001:db8::2", "2001:db8::3"}
)

type overlayRig struct {
	t        *testing.T
	worker   *dataplane.Worker
	snapshot *dataplane.Snapshot
	batch    packet.Batch
	now      dataplane.Time
}

// send carries one frame through the walk and returns how it ended; the
// accounts must balance afterwards, on every port.
func (r *overlayRig) send(port packet.PortID, s packet.Spec) *packet.Frame {
	r.t.Helper()
	return r.sendBytes(port, build(r.t, s))
}

func (r *overlayRig) sendBytes(port packet.PortID, b []byte) *packet.Frame {
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

func newOverlayRig(t *testing.T, u under) *overlayRig {
	t.Helper()
	state, err := dataplane.NewState(dataplane.StateConfig{Sessions: conntrack.Config{Sessions: 1024}, FDB: fdb.Config{Entries: 1024}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	r := &overlayRig{t: t, worker: dataplane.NewWorker(state, 0, 1), now: 1e9, snapshot: newOverlaySnapshot()}
	s := r.snapshot
	b := vxlan.NewBuilder()
	local := addrOf(u.local)
	b.Local(local)
	b.Segment(0, 100)
	b.Segment(1, 101)
	b.Peer(0, addrOf(u.k), []uint16{0, 1})
	b.Peer(1, addrOf(u.b), []uint16{0})
	if s.Tunnels, err = b.Build(); err != nil {
		t.Fatal(err)
	}
	i := 1
	if local.Is4() {
		i = 0
	}
	s.Underlay.Port = uplink
	s.Underlay.Addrs[i], s.Underlay.Bits[i] = local, uint8(24+40*i)
	r.linkOverlay()
	for _, peer := range []string{u.k, u.b} {
		r.answerFor(peer, nextMAC)
	}
	return r
}

// newOverlaySnapshot has two segments of one VRF, and more ports in the first
// than web's, which nobody is on.
func newOverlaySnapshot() *dataplane.Snapshot {
	port := func(segment uint16) dataplane.Port {
		return dataplane.Port{Role: dataplane.RoleWorkload, Segment: segment, MTU: 1500}
	}
	segment := func(v4, v6 string, ports ...packet.PortID) dataplane.Segment {
		return dataplane.Segment{Zone: 1, MTU: 1500, GatewayMAC: gwMAC, Ports: ports,
			Gateways: []dataplane.Gateway{{Addr: addrOf(v4), Bits: 24}, {Addr: addrOf(v6), Bits: 64}}}
	}
	up := dataplane.Port{Role: dataplane.RoleUplink, Segment: dataplane.NoSegment, MTU: 1500, MAC: vtepMAC}
	return &dataplane.Snapshot{
		Generation: 1, Routes: &route.Table{}, Ports: []dataplane.Port{{}, port(0), port(0), port(1), port(0), up},
		Segments: []dataplane.Segment{segment("10.0.0.254", "fd00::fe", 1, 2, 4), segment("10.0.1.254", "fd00:1::fe", 3)},
	}
}

// answerFor makes the MAC of an address of the underlay known.
func (r *overlayRig) answerFor(a string, mac packet.MAC) {
	hop := addrOf(a)
	r.worker.State.Neighbours.ShouldSolicit(dataplane.UnderlaySegment, &hop, r.now)
	r.worker.State.Neighbours.Answer(dataplane.UnderlaySegment, &hop, mac, r.now)
}

// linkOverlay registers the endpoints and the policy.
func (r *overlayRig) linkOverlay() {
	b := identity.NewBuilder()
	for _, e := range []struct {
		name    string
		segment uint16
		mac     packet.MAC
		port    packet.PortID
		peer    uint16
		ips     []string
		behind  []netip.Prefix
	}{
		{"web", 0, webMAC, 1, identity.NoPeer, []string{"10.0.0.1", "fd00::1"}, nil},
		{"db", 0, dbMAC, packet.NoPort, 0, []string{"10.0.0.2", "fd00::2"}, nil},
		{"app", 0, appMAC, packet.NoPort, 1, []string{"10.0.0.5", "fd00::5"}, nil},
		{"far", 1, farMAC, packet.NoPort, 0, []string{"10.0.1.4", "fd00:1::4"}, nil},
		{"router", 0, routerMAC, packet.NoPort, 0, []string{"10.0.0.6"}, []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}},
	} {
		var addrs []identity.Address
		for _, a := range e.ips {
			addrs = append(addrs, identity.Address{Addr: addrOf(a), Sets: []uint32{0}})
		}
		b.Endpoint(identity.Endpoint{Name: e.name, Segment: e.segment, Zone: 1, MAC: e.mac, Port: e.port, Peer: e.peer}, addrs, e.behind)
	}
	rules := &policy.Ruleset{
		Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}},
		Rules: []policy.Rule{{Name: "all", Verdict: policy.Allow, From: []policy.SetID{0}, To: []policy.SetID{0},
			Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: 5432, DstHi: 5432}, {Proto: 17, SrcHi: 65535, DstLo: 53, DstHi: 53}}}},
	}
	table, err := b.Build()
	if err != nil {
		r.t.Fatal(err)
	}
	engine, err := classify.Link(rules, table.AllSets())
	if err != nil {
		r.t.Fatal(err)
	}
	r.snapshot.Identity, r.snapshot.Policy, r.snapshot.Rules = table, engine, rules
	r.worker.Counters.Rules = make([]uint64, len(rules.Rules)+1)
}

func build(t *testing.T, s packet.Spec) []byte {
	t.Helper()
	b, err := packet.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tunnelled puts a frame into a tunnel, without an outer checksum over IPv4.
func tunnelled(from, to string, vni uint32, inner []byte, tos uint8) []byte {
	src, dst := netip.MustParseAddr(from), netip.MustParseAddr(to)
	ip := packettest.IP(src, dst)
	if v4, is := ip.(*layers.IPv4); is {
		v4.TOS = tos
	}
	b := packettest.Make(packettest.Ethernet(), ip, packettest.UDP(50000, 4789), packettest.VXLAN(vni), gopacket.Payload(inner))
	copy(b, vtepMAC[:])
	copy(b[6:], kMAC[:])
	if src.Is4() {
		b[40], b[41] = 0, 0
	}
	return b
}

func arpAsk(mac packet.MAC, from, to string) packet.Spec {
	return packet.Spec{SrcMAC: mac, DstMAC: everybody, Src: addrOf(from), Dst: addrOf(to), ARP: packet.ARPRequest}
}

func ndAsk(mac packet.MAC, from, target string) packet.Spec {
	return packet.Spec{SrcMAC: mac, DstMAC: packet.MAC{0x33, 0x33, 0xff, 0, 0, 1}, Src: addrOf(from), Dst: addrOf("ff02::1:ff00:1"),
		Proto: packet.ProtoICMPv6, ICMPType: packet.NDNeighbourSolicitation, Target: addrOf(target)}
}

// report is a multicast listener report.
func report(mac packet.MAC, from string) packet.Spec {
	return packet.Spec{SrcMAC: mac, DstMAC: packet.MAC{0x33, 0x33, 0, 0, 0, 0x16}, Src: addrOf(from), Dst: addrOf("ff02::16"), Proto: packet.ProtoICMPv6, ICMPType: 143}
}

// What comes by the overlay, and how it ends: passed on to web, answered to the
// peer, or dropped.
func TestHowFramesFromPeersEnd(t *testing.T) {
	const passed, answered = packet.PortID(1), packet.NoPort
	syn := uint8(packet.TCPSyn)
	u := under4
	toWeb := func(mac packet.MAC, from string) packet.Spec {
		return tcpSpec(mac, webMAC, from, "10.0.0.1", 5432, syn)
	}
	arpReply := packet.Spec{SrcMAC: dbMAC, DstMAC: webMAC, Src: addrOf("10.0.0.2"), Dst: addrOf("10.0.0.1"), ARP: packet.ARPReply}
	lied := build(t, arpAsk(dbMAC, "10.0.0.2", "10.0.0.1"))
	lied[27]++ // the sender's MAC of the ARP header
	for _, c := range []struct {
		name   string
		from   string
		vni    uint32
		inner  []byte
		reason drop.Reason
		end    packet.PortID
	}{
		{"allowed", u.k, 100, build(t, toWeb(dbMAC, "10.0.0.2")), drop.None, passed},
		{"denied", u.k, 100, build(t, tcpSpec(dbMAC, webMAC, "10.0.0.2", "10.0.0.1", 23, syn)), drop.NoRule, 0},
		{"no_peer", "192.0.2.66", 100, build(t, toWeb(dbMAC, "10.0.0.2")), drop.UnknownPeer, 0},
		{"unknown_vni", u.k, 102, build(t, toWeb(dbMAC, "10.0.0.2")), drop.UnknownVNI, 0},
		{"no_peer_of_the_vni", u.b, 101, build(t, toWeb(dbMAC, "10.0.0.2")), drop.UnknownPeer, 0},
		{"of_another_peer", u.b, 100, build(t, toWeb(dbMAC, "10.0.0.2")), drop.SpoofedRemote, 0},
		{"of_this_host", u.k, 100, build(t, toWeb(dbMAC, "10.0.0.1")), drop.SpoofedRemote, 0},
		{"of_nobody", u.k, 100, build(t, toWeb(dbMAC, "10.0.0.77")), drop.SpoofedRemote, 0},
		{"ip_of_a_neighbour", u.k, 100, build(t, toWeb(routerMAC, "10.0.0.2")), drop.SpoofedRemote, 0},
		{"mac_of_nobody", u.k, 100, build(t, toWeb(nobodyMAC, "10.0.0.2")), drop.SpoofedRemote, 0},
		{"mac_of_another_segment", u.k, 100, build(t, toWeb(farMAC, "10.0.1.4")), drop.SpoofedRemote, 0},
		{"routed_by_the_peer", u.k, 100, build(t, toWeb(gwMAC, "10.0.1.4")), drop.None, passed},
		{"routed_by_the_wrong_peer", u.b, 100, build(t, toWeb(gwMAC, "10.0.1.4")), drop.SpoofedRemote, 0},
		{"behind_a_router", u.k, 100, build(t, toWeb(routerMAC, "10.9.1.1")), drop.None, passed},
		{"behind_a_router_and_routed", u.k, 100, build(t, toWeb(gwMAC, "10.9.1.1")), drop.None, passed},
		{"behind_no_router", u.k, 100, build(t, toWeb(dbMAC, "10.9.1.1")), drop.SpoofedRemote, 0},
		{"behind_the_wrong_peer", u.b, 100, build(t, toWeb(gwMAC, "10.9.1.1")), drop.SpoofedRemote, 0},
		{"to_another_peer", u.k, 100, build(t, tcpSpec(dbMAC, appMAC, "10.0.0.2", "10.0.0.5", 5432, syn)), drop.Hairpin, 0},
		{"to_the_gateway", u.k, 100, build(t, tcpSpec(dbMAC, gwMAC, "10.0.0.2", "10.0.1.3", 5432, syn)), drop.NoRoute, 0},
		{"arp", u.k, 100, build(t, arpAsk(dbMAC, "10.0.0.2", "10.0.0.1")), drop.None, answered},
		{"arp_unicast", u.k, 100, build(t, packet.Spec{SrcMAC: dbMAC, DstMAC: webMAC, Src: addrOf("10.0.0.2"), Dst: addrOf("10.0.0.1"), ARP: packet.ARPRequest}), drop.None, answered},
		{"arp_probe", u.k, 100, build(t, arpAsk(dbMAC, "0.0.0.0", "10.0.0.1")), drop.None, answered},
		{"arp_for_a_peers", u.k, 100, build(t, arpAsk(dbMAC, "10.0.0.2", "10.0.0.5")), drop.ARPUnknown, 0},
		{"arp_for_the_gateway", u.k, 100, build(t, arpAsk(dbMAC, "10.0.0.2", "10.0.0.254")), drop.ARPUnknown, 0},
		{"arp_from_the_gateway", u.k, 100, build(t, arpAsk(dbMAC, "10.0.0.254", "10.0.0.1")), drop.SpoofedRemote, 0},
		{"arp_by_the_gateways_mac", u.k, 100, build(t, arpAsk(gwMAC, "10.0.0.2", "10.0.0.1")), drop.SpoofedRemote, 0},
		{"arp_from_another_peers", u.b, 100, build(t, arpAsk(dbMAC, "10.0.0.2", "10.0.0.1")), drop.SpoofedRemote, 0},
		{"arp_from_ours", u.k, 100, build(t, arpAsk(dbMAC, "10.0.0.1", "10.0.0.9")), drop.SpoofedRemote, 0},
		{"arp_from_nobody", u.k, 100, build(t, arpAsk(dbMAC, "10.0.0.77", "10.0.0.1")), drop.SpoofedRemote, 0},
		{"arp_of_a_neighbour", u.k, 100, build(t, arpAsk(routerMAC, "10.0.0.2", "10.0.0.1")), drop.SpoofedRemote, 0},
		{"arp_that_lies", u.k, 100, lied, drop.SpoofedARPMAC, 0},
		{"nd", u.k, 100, build(t, ndAsk(dbMAC, "fd00::2", "fd00::1")), drop.None, answered},
		{"nd_link_local", u.k, 100, build(t, ndAsk(dbMAC, "fe80::ff:fe00:2", "fd00::1")), drop.None, answered},
		{"nd_another_link_local", u.k, 100, build(t, ndAsk(dbMAC, "fe80::9", "fd00::1")), drop.SpoofedRemote, 0},
		{"nd_for_a_peers", u.k, 100, build(t, ndAsk(dbMAC, "fd00::2", "fd00::5")), drop.NDPUnknown, 0},
		{"nd_from_another_peers", u.b, 100, build(t, ndAsk(dbMAC, "fd00::2", "fd00::1")), drop.SpoofedRemote, 0},
		{"listener_report", u.k, 100, build(t, report(dbMAC, "fe80::ff:fe00:2")), drop.FloodOff, 0},
		{"listener_report_of_nobody", u.k, 100, build(t, report(nobodyMAC, "fe80::ff:fe00:66")), drop.SpoofedRemote, 0},
		{"link_local_of_another", u.k, 100, build(t, report(dbMAC, "fe80::ff:fe00:66")), drop.SpoofedRemote, 0},
		{"in_the_far_segment", u.k, 101, build(t, tcpSpec(farMAC, apiMAC, "10.0.1.4", "10.0.1.3", 5432, syn)), drop.UnknownUnicast, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newOverlayRig(t, u)
			f := r.sendBytes(uplink, tunnelled(c.from, u.local, c.vni, c.inner, 0))
			if f.Reason != c.reason {
				t.Fatalf("ended as %s, want %s", f.Reason, c.reason)
			}
			switch {
			case c.reason != drop.None:
				if r.batch.Len() != 1 {
					t.Errorf("%d frames besides", r.batch.Len()-1)
				}
			case c.end == answered:
				r.checkAnswer(f, c.from, c.inner)
			case f.Egress != c.end:
				t.Errorf("went to port %d, want %d", f.Egress, c.end)
			}
		})
	}
	// An answer that was asked for has nobody to go to where nothing is learned.
	r := newOverlayRig(t, u)
	if f := r.sendBytes(uplink, tunnelled(u.k, u.local, 100, build(t, arpReply), 0)); !f.Consumed {
		t.Errorf("ARP reply ended as %s", f.Reason)
	}
}

// checkAnswer wants the one copy of the batch to be an answer to a peer's
// question, in a tunnel to that peer.
func (r *overlayRig) checkAnswer(f *packet.Frame, peer string, question []byte) {
	r.t.Helper()
	if !f.Consumed || r.batch.Len() != 2 {
		r.t.Fatalf("not answered: consumed %v, %d frames", f.Consumed, r.batch.Len())
	}
	answer := r.batch.Frame(1)
	if answer.Egress != uplink || answer.Outer == 0 {
		r.t.Fatalf("the answer went to port %d, %d bytes of tunnel", answer.Egress, answer.Outer)
	}
	packettest.Check(r.t, answer.Bytes(), packettest.Checksums, packettest.MACs(nextMAC, vtepMAC),
		packettest.From(netip.MustParseAddr(under4.local), netip.MustParseAddr(peer)), packettest.Has(layers.LayerTypeVXLAN))
	inner := packettest.Frame(answer.Bytes()[answer.Outer:], 0)
	if reason := packet.Parse(inner); reason != drop.None || inner.Headers.Src != webMAC || inner.Headers.Dst != packet.MAC(question[6:12]) {
		r.t.Errorf("the answer is from %s to %s (%s)", inner.Headers.Src, inner.Headers.Dst, reason)
	}
}

// A peer that asks without end is answered up to its share, and costs the
// others nothing.
func TestQuestionsOfAPeerAreBounded(t *testing.T) {
	r := newOverlayRig(t, under4)
	ask := tunnelled(under4.k, under4.local, 100, build(t, arpAsk(dbMAC, "10.0.0.2", "10.0.0.1")), 0)
	answered, limited := 0, 0
	for range 400 {
		switch f := r.sendBytes(uplink, ask); f.Reason {
		case drop.None:
			answered++
		case drop.RateLimited:
			limited++
		}
	}
	if answered == 0 || answered > 256 || answered+limited != 400 {
		t.Errorf("%d answered, %d limited", answered, limited)
	}
	other := tunnelled(under4.b, under4.local, 100, build(t, arpAsk(appMAC, "10.0.0.5", "10.0.0.1")), 0)
	if f := r.sendBytes(uplink, other); f.Reason != drop.None {
		t.Errorf("the other peer's question ended as %s", f.Reason)
	}
}

// Checksums as a kernel leaves them: the outer one used or not, finished or
// not, the inner one finished or not, said by the driver or not.
func TestChecksumsInATunnel(t *testing.T) {
	for _, u := range []under{under4, under6} {
		for _, c := range []struct {
			name                    string
			outer                   bool // there is an outer checksum
			innerPartial, innerSaid bool
			outerPartial            bool
			spoil                   int  // a byte to spoil, from the inner frame's beginning; 0: none
			pad, trailer            bool // bytes behind the inner packet, behind the outer one
			reason                  drop.Reason
		}{
			{name: "none"},
			{name: "whole", outer: true},
			{name: "whole_padded", outer: true, pad: true},
			{name: "whole_and_a_trailer", outer: true, trailer: true},
			{name: "inner_partial", innerPartial: true},
			{name: "inner_partial_and_said", innerPartial: true, innerSaid: true},
			{name: "inner_partial_under_a_whole_one", outer: true, innerPartial: true},
			{name: "inner_partial_and_said_under_a_whole_one", outer: true, innerPartial: true, innerSaid: true},
			{name: "inner_partial_padded", outer: true, innerPartial: true, pad: true},
			{name: "outer_partial", outer: true, outerPartial: true},
			{name: "wrong", outer: true, spoil: 3, reason: drop.BadChecksum},
			{name: "wrong_inner_partial", outer: true, innerPartial: true, spoil: 3, reason: drop.BadChecksum},
		} {
			t.Run(u.local+"/"+c.name, func(t *testing.T) {
				spec := tcpSpec(dbMAC, webMAC, "10.0.0.2", "10.0.0.1", 5432, packet.TCPSyn)
				spec.Payload = []byte("odd")
				inner := build(t, spec)
				if c.pad {
					inner = append(inner, 0xde, 0xad, 0xbe)
				}
				b := tunnelled(u.k, u.local, 100, inner, 0)
				at := len(b) - len(inner) // of the inner frame
				o := packet.Offload{}
				if u == under4 && c.outer { // tunnelled has left it out
					b = packettest.Make(packettest.Ethernet(), packettest.IP(netip.MustParseAddr(u.k), netip.MustParseAddr(u.local)),
						packettest.UDP(50000, 4789), packettest.VXLAN(100), gopacket.Payload(inner))
				} else if !c.outer {
					b[at-10], b[at-9] = 0, 0
				}
				if c.innerPartial {
					f := packettest.Frame(inner, 0)
					if reason := packet.Parse(f); reason != drop.None {
						t.Fatal(reason)
					}
					packettest.Partial(f)
					copy(b[at:], f.Bytes())
				}
				if c.innerSaid {
					o = packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: uint16(at + 34), CsumOffset: 16}
				}
				if c.outerPartial {
					o = packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: uint16(at - 16), CsumOffset: 6}
					b[at-10], b[at-9] = 0x12, 0x34
				}
				if c.spoil > 0 {
					b[at+c.spoil] ^= 1
				}
				if c.trailer {
					b = append(b, 0xbe, 0xef)
				}
				r := newOverlayRig(t, u)
				r.batch.Reset()
				f := r.batch.Next()
				*f = *packet.NewFrame(b, uplink)
				f.Offload, f.MaybePartial = o, !c.innerSaid && !c.outerPartial
				dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
				if f.Reason != c.reason {
					t.Fatalf("ended as %s, want %s", f.Reason, c.reason)
				}
				if c.reason != drop.None {
					return
				}
				if partial := f.Offload.Checksum == packet.ChecksumPartial; partial != c.innerPartial {
					t.Errorf("partial: %v", partial)
				}
				packet.FinishChecksum(f)
				packettest.Check(t, f.Bytes(), packettest.Checksums)
			})
		}
	}
}

// What is not a superframe of the uplink's own is none in a tunnel either.
func TestSuperframeOnAnUplink(t *testing.T) {
	r := newOverlayRig(t, under4)
	b := tunnelled(under4.k, under4.local, 100, build(t, tcpSpec(dbMAC, webMAC, "10.0.0.2", "10.0.0.1", 5432, packet.TCPSyn)), 0)
	r.batch.Reset()
	f := r.batch.Next()
	*f = *packet.NewFrame(b, uplink)
	f.Offload = packet.Offload{GSO: packet.GSOUDP4, Size: 8, Checksum: packet.ChecksumPartial, CsumStart: 34, CsumOffset: 6}
	dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	if f.Reason != drop.BadOffload {
		t.Errorf("ended as %s", f.Reason)
	}
}

// RFC 6040, figure 4: what the inner packet is marked with afterwards.
func TestCongestionMarks(t *testing.T) {
	const notECT, ect1, ect0, ce, lost = 0, 1, 2, 3, 4
	want := [4][4]uint8{ // by inner, outer
		notECT: {notECT, notECT, notECT, lost},
		ect1:   {ect1, ect1, ect1, ce},
		ect0:   {ect0, ect1, ect0, ce},
		ce:     {ce, ce, ce, ce},
	}
	for inner := range uint8(4) {
		for outer := range uint8(4) {
			t.Run(fmt.Sprintf("inner_%d_outer_%d", inner, outer), func(t *testing.T) {
				r := newOverlayRig(t, under4)
				spec := tcpSpec(dbMAC, webMAC, "10.0.0.2", "10.0.0.1", 5432, packet.TCPSyn)
				spec.TOS = 0x28 | inner
				f := r.sendBytes(uplink, tunnelled(under4.k, under4.local, 100, build(t, spec), 0x50|outer))
				if lost := want[inner][outer] == lost; lost != (f.Reason == drop.Congested) {
					t.Fatalf("ended as %s", f.Reason)
				}
				if f.Reason != drop.None {
					return
				}
				if got := f.TOS(); got != 0x28|want[inner][outer] {
					t.Errorf("marked %#x", got)
				}
				packettest.Check(t, f.Bytes(), packettest.Checksums)
			})
		}
	}
}

// To a peer: in a tunnel with right checksums, as much as fits the uplink, and
// what does not is answered with an error that says how much does.
func TestIntoATunnel(t *testing.T) {
	for _, c := range []struct {
		under
		room int
	}{{under4, 1450}, {under6, 1430}} {
		t.Run(c.local, func(t *testing.T) {
			r := newOverlayRig(t, c.under)
			spec := packet.Spec{SrcMAC: webMAC, DstMAC: dbMAC, Src: addrOf("10.0.0.1"), Dst: addrOf("10.0.0.2"), Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 53, TOS: 0x2a}
			spec.Payload = make([]byte, c.room-28)
			f := r.send(1, spec)
			if f.Reason != drop.None || f.Egress != uplink {
				t.Fatalf("ended as %s, port %d", f.Reason, f.Egress)
			}
			if got := f.Len() - 14; got != 1500 {
				t.Errorf("%d bytes of outer packet", got)
			}
			packettest.Check(t, f.Bytes(), packettest.Checksums, packettest.MACs(nextMAC, vtepMAC), packettest.TTL(64),
				packettest.From(netip.MustParseAddr(c.local), netip.MustParseAddr(c.k)), packettest.Has(layers.LayerTypeVXLAN))
			if sum := f.Bytes()[f.Outer-10] | f.Bytes()[f.Outer-9]; (sum != 0) != (c.under == under6) {
				t.Errorf("outer checksum is used: %v", sum != 0)
			}
			outer := packettest.Frame(f.Bytes(), 0)
			if reason := packet.Parse(outer); reason != drop.None || outer.TOS() != 0x2a {
				t.Errorf("outer packet: %s, type of service %#x", reason, outer.TOS())
			}
			spec.Payload = append(spec.Payload, 0)
			if f := r.send(1, spec); f.Reason != drop.TooBig || r.batch.Len() != 2 {
				t.Fatalf("one byte more ended as %s, %d frames", f.Reason, r.batch.Len())
			}
			told := r.batch.Frame(1)
			packettest.Check(t, told.Bytes(), packettest.Checksums, packettest.ICMPIs(3, 4))
			if got := int(told.Bytes()[40])<<8 | int(told.Bytes()[41]); told.Egress != 1 || got != c.room {
				t.Errorf("told port %d of %d bytes, want %d", told.Egress, got, c.room)
			}
		})
	}
}

// A neighbour of the underlay is asked for again while its MAC is in use, and
// its new one is then believed; one that nobody asked for is not.
func TestUnderlayNeighbourIsAskedForAgain(t *testing.T) {
	r := newOverlayRig(t, under4)
	toDB := tcpSpec(webMAC, dbMAC, "10.0.0.1", "10.0.0.2", 5432, packet.TCPSyn)
	reply := packet.Spec{SrcMAC: nobodyMAC, DstMAC: vtepMAC, Src: addrOf(under4.k), Dst: addrOf(under4.local), ARP: packet.ARPReply}
	send := func(want packet.MAC, asked bool) {
		t.Helper()
		toDB.SrcPort++
		f := r.send(1, toDB)
		if f.Reason != drop.None || packet.MAC(f.Bytes()[:6]) != want {
			t.Fatalf("ended as %s, next hop %s", f.Reason, packet.MAC(f.Bytes()[:6]))
		}
		if (r.batch.Len() == 2) != asked {
			t.Errorf("asked: %v, want %v", r.batch.Len() == 2, asked)
		}
	}
	send(nextMAC, false)
	r.send(uplink, reply)
	send(nextMAC, false) // nobody had asked
	r.now += 31e9
	send(nextMAC, true)
	send(nextMAC, false) // not twice a second
	r.send(uplink, reply)
	send(nobodyMAC, false)
	// After an hour of silence the first packet passes, and asks. If there is no
	// answer for long the neighbour is gone; it may come back.
	r.now += 3600e9
	send(nobodyMAC, true)
	for range 11 {
		r.now += 1e9
		r.send(1, toDB)
	}
	toDB.SrcPort++
	if f := r.send(1, toDB); f.Reason != drop.None || !f.Consumed {
		t.Errorf("to a neighbour that does not answer: %s, waits: %v", f.Reason, f.Consumed)
	}
	r.send(uplink, reply)
	if n := r.worker.State.Waiting.Stats().Waiting; n != 0 {
		t.Errorf("%d frames wait for a neighbour that has answered", n)
	}
	send(nobodyMAC, false)
}

// A segment that learns and floods: questions go out to the peers and into the
// ports, answers reach who asked, and nothing from a peer goes to a peer.
func TestFloodAndLearn(t *testing.T) {
	r := newOverlayRig(t, under4)
	seg := &r.snapshot.Segments[0]
	seg.Learning, seg.FloodBroadcast, seg.FloodUnknown = true, true, true
	ways := func() (out []packet.PortID) {
		for i := range r.batch.Len() {
			if f := r.batch.Frame(i); f.Reason == drop.None && !f.Consumed {
				out = append(out, f.Egress)
			}
		}
		slices.Sort(out)
		return out
	}
	r.send(1, arpAsk(webMAC, "10.0.0.1", "10.0.0.77"))
	if got := ways(); !slices.Equal(got, []packet.PortID{2, 4, uplink, uplink}) {
		t.Errorf("a question of web went to %v", got)
	}
	peers := 0
	for i := range r.batch.Len() {
		if r.batch.Frame(i).Outer != 0 {
			peers++
		}
	}
	if peers != 2 {
		t.Errorf("%d copies in tunnels, want 2", peers)
	}
	answer := packet.Spec{SrcMAC: nobodyMAC, DstMAC: webMAC, Src: addrOf("10.0.0.77"), Dst: addrOf("10.0.0.1"), ARP: packet.ARPReply}
	if f := r.sendBytes(uplink, tunnelled(under4.k, under4.local, 100, build(t, answer), 0)); f.Egress != 1 {
		t.Errorf("the answer ended as %s, port %d", f.Reason, f.Egress)
	}
	answer.Src = addrOf("10.0.0.5") // app's, which is behind the other peer
	if f := r.sendBytes(uplink, tunnelled(under4.k, under4.local, 100, build(t, answer), 0)); f.Reason != drop.SpoofedRemote {
		t.Errorf("an answer for app's address ended as %s", f.Reason)
	}
	// What is learned is a way, and only where it was learned.
	if f := r.send(1, tcpSpec(webMAC, nobodyMAC, "10.0.0.1", "10.0.0.77", 5432, packet.TCPSyn)); f.Egress != uplink || f.Outer == 0 {
		t.Errorf("to the learned MAC: %s, port %d", f.Reason, f.Egress)
	}
	unicast := packet.Spec{SrcMAC: webMAC, DstMAC: nobodyMAC, Src: addrOf("10.0.0.1"), Dst: addrOf("10.0.0.77"), ARP: packet.ARPRequest}
	if f := r.send(1, unicast); f.Egress != uplink || f.Outer == 0 {
		t.Errorf("a question to the learned MAC: %s, port %d", f.Reason, f.Egress)
	}
	shout := packet.Spec{SrcMAC: dbMAC, DstMAC: everybody, Src: addrOf("10.0.0.2"), Dst: addrOf("10.0.0.255"), Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 53}
	r.sendBytes(uplink, tunnelled(under4.k, under4.local, 100, build(t, shout), 0))
	if got := ways(); !slices.Equal(got, []packet.PortID{1, 2, 4}) {
		t.Errorf("a everybody of a peer went to %v", got)
	}
}

// Nothing is allocated on the way into a tunnel, out of one, through a flood,
// or for an answer to a peer.
func TestOverlayAllocatesNothing(t *testing.T) {
	for _, u := range []under{under4, under6} {
		shout := packet.Spec{SrcMAC: webMAC, DstMAC: everybody, Src: addrOf("10.0.0.1"), Dst: addrOf("10.0.0.255"), Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 53}
		for name, c := range map[string]struct {
			port  packet.PortID
			frame []byte
		}{
			"into":     {1, build(t, tcpSpec(webMAC, dbMAC, "10.0.0.1", "10.0.0.2", 5432, packet.TCPSyn))},
			"too_big":  {1, build(t, packet.Spec{SrcMAC: webMAC, DstMAC: dbMAC, Src: addrOf("10.0.0.1"), Dst: addrOf("10.0.0.2"), Proto: packet.ProtoUDP, SrcPort: 9, DstPort: 53, Payload: make([]byte, 1460)})},
			"out_of":   {uplink, tunnelled(u.k, u.local, 100, build(t, tcpSpec(dbMAC, webMAC, "10.0.0.2", "10.0.0.1", 5432, packet.TCPSyn)), 0)},
			"behind":   {uplink, tunnelled(u.k, u.local, 100, build(t, tcpSpec(gwMAC, webMAC, "10.9.0.2", "10.0.0.1", 5432, packet.TCPSyn)), 0)},
			"question": {uplink, tunnelled(u.k, u.local, 100, build(t, arpAsk(dbMAC, "10.0.0.2", "10.0.0.1")), 0)},
			"flood":    {1, build(t, shout)},
		} {
			t.Run(u.local+"/"+name, func(t *testing.T) {
				r := newOverlayRig(t, u)
				r.snapshot.Segments[0].FloodBroadcast = true
				frame := packet.NewFrame(c.frame, c.port)
				buf, start, end := frame.Buf, frame.Start, frame.End
				if n := testing.AllocsPerRun(100, func() {
					copy(buf[start:end], c.frame)
					r.batch.Reset()
					r.batch.Next().Begin(buf, start, end, c.port)
					dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
				}); n != 0 {
					t.Errorf("%v allocations", n)
				}
				want := drop.None
				if name == "too_big" {
					want = drop.TooBig
				}
				if got := r.batch.Frame(0).Reason; got != want {
					t.Errorf("ended as %s", got)
				}
			})
		}
	}
}
