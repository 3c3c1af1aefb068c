package fuzz

import (
	"net/netip"
	"slices"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
	"bulkhead/dataplane/vxlan"
)

// The network of FuzzPipeline: hosts A and B of package packettest, so that its
// seeds are real frames here; C in another segment of the VRF; D where frames
// are flooded and MACs learned; E and F behind a peer of each family.
const (
	portA, portB, portC, portD, portD2, uplink, portGone, portMirror = 1, 2, 3, 4, 5, 6, 7, 8
	ports                                                            = 9

	shop, back, loud = 0, 1, 2
)

var (
	gatewayMAC = packet.MAC{2, 0xbb, 0, 0, 0, 0xfe}
	uplinkMAC  = packet.MAC{2, 0xaa, 0, 0, 0, 1}
	peerMAC    = packet.MAC{2, 0xcc, 0, 0, 0, 1}
	vtep       = [2]packet.Addr{address("192.0.2.1"), address("2001:db8:ff::1")}
	peers      = [2]packet.Addr{address("192.0.2.2"), address("2001:db8:ff::2")}
)

func address(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// host is an endpoint, and what the oracle must know of it.
type host struct {
	name    string
	mac     packet.MAC
	segment uint16
	port    packet.PortID // NoPort: behind a peer
	peer    uint16
	addrs   []packet.Addr
}

// change is what a reload makes different, as bits.
type change uint8

const (
	ruleRevoked change = 1 << iota // a-to-b is gone
	policyGone
	bMoved   // B is on portD2's neighbour, in its own segment: portGone
	bAway    // B is behind a peer
	portDown // portC is closed
	noUplink
	telnetDenied
	mirrored // everything is shown, in three ways
)

func hosts(c change) []host {
	mac := func(n byte) packet.MAC { return packet.MAC{2, 0, 0, 0, 1, n} }
	all := []host{
		{"a", packettest.MACA, shop, portA, dataplane.NoPeer, []packet.Addr{packettest.Addr(packettest.A4), packettest.Addr(packettest.A6)}},
		{"b", packettest.MACB, shop, portB, dataplane.NoPeer, []packet.Addr{packettest.Addr(packettest.B4), packettest.Addr(packettest.B6)}},
		{"c", mac(3), back, portC, dataplane.NoPeer, []packet.Addr{address("10.0.1.3"), address("2001:db8:1::3")}},
		{"d", mac(4), loud, portD, dataplane.NoPeer, []packet.Addr{address("10.0.2.4"), address("2001:db8:2::4")}},
		{"e", mac(5), shop, packet.NoPort, 0, []packet.Addr{address("10.0.0.5"), address("2001:db8::5")}},
		{"f", mac(6), loud, packet.NoPort, 1, []packet.Addr{address("10.0.2.6"), address("2001:db8:2::6")}},
	}
	switch {
	case c&bAway != 0:
		all[1].port, all[1].peer = packet.NoPort, 0
	case c&bMoved != 0:
		all[1].port = portGone
	}
	return all
}

var everybody = hosts(0)

// ruleset is the policy: what is allowed is what the seeds are, and a little
// more; telnet is denied in between.
func ruleset(c change) *policy.Ruleset {
	rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}
	for _, h := range hosts(0) {
		rs.Sets = append(rs.Sets, policy.Set{Kind: policy.KindService, Name: h.name})
	}
	to := func(proto uint16, lo, hi uint16) policy.Port {
		return policy.Port{Proto: proto, SrcHi: 65535, DstLo: lo, DstHi: hi}
	}
	add := func(name string, v policy.Verdict, from, to []policy.SetID, ports ...policy.Port) {
		rs.Rules = append(rs.Rules, policy.Rule{Name: name, Verdict: v, From: from, To: to, Ports: ports})
	}
	const a, b, cc, d, e, f = 1, 2, 3, 4, 5, 6
	if c&telnetDenied != 0 {
		add("no-telnet", policy.Deny, []policy.SetID{policy.Any}, []policy.SetID{policy.Any}, to(6, 23, 23), to(17, 2049, 2049))
	}
	if c&ruleRevoked == 0 {
		add("a-to-b", policy.Allow, []policy.SetID{a}, []policy.SetID{b},
			to(6, 443, 443), to(17, 2049, 2049), to(132, 3868, 3868), to(1, 8<<8, 8<<8|255), to(1, 13<<8, 13<<8|255), to(58, 128<<8, 128<<8|255), to(47, 0, 65535))
	}
	add("calls", policy.Allow, []policy.SetID{a, b, e}, []policy.SetID{a, cc, e}, to(6, 5432, 5432), to(17, 8053, 8053), to(17, 4789, 4789))
	add("noise", policy.Allow, []policy.SetID{d, f}, []policy.SetID{policy.Any}, to(17, 8053, 8053))
	return rs
}

// rulesets are the policies that there can be, by change.
var rulesets = func() (all [256]*policy.Ruleset) {
	for c := range all {
		all[c] = ruleset(change(c))
	}
	return all
}()

// snapshot builds the network as a reload leaves it.
func snapshot(tb testing.TB, generation uint32, c change) *dataplane.Snapshot {
	tb.Helper()
	s := &dataplane.Snapshot{
		Generation: generation,
		Segments: []dataplane.Segment{
			shop: {Zone: 1, VNI: 100, MTU: 1450, GatewayMAC: gatewayMAC, Gateways: gateways("10.0.0.254", "2001:db8::fe"), Ports: []packet.PortID{portA, portB, portGone}},
			back: {Zone: 1, MTU: 1400, GatewayMAC: gatewayMAC, Gateways: gateways("10.0.1.254", "2001:db8:1::fe"), Ports: []packet.PortID{portC}},
			loud: {Zone: 1, VNI: 102, MTU: 1450, GatewayMAC: gatewayMAC, Gateways: gateways("10.0.2.254", "2001:db8:2::fe"), Ports: []packet.PortID{portD, portD2},
				FloodBroadcast: true, FloodUnknown: true, Learning: true},
		},
		Ports:    make([]dataplane.Port, ports),
		Underlay: dataplane.Underlay{Port: uplink, Segment: dataplane.UnderlaySegment, Addrs: vtep, Bits: [2]uint8{24, 64}},
	}
	for id, segment := range map[packet.PortID]uint16{portA: shop, portB: shop, portGone: shop, portC: back, portD: loud, portD2: loud} {
		s.Ports[id] = dataplane.Port{Role: dataplane.RoleWorkload, Segment: segment, MTU: 1500}
	}
	if c&portDown != 0 {
		s.Ports[portC] = dataplane.Port{}
	}
	if c&noUplink == 0 {
		s.Ports[uplink] = dataplane.Port{Role: dataplane.RoleUplink, Segment: dataplane.NoSegment, MTU: 1600, MAC: uplinkMAC}
	}
	if c&mirrored != 0 {
		s.Ports[portMirror] = dataplane.Port{Role: dataplane.RoleMirror, Segment: dataplane.NoSegment, MTU: 1500, L2: new(dataplane.L2)}
		s.Mirrors = mirrors()
	}
	s.Identity, s.Routes, s.Tunnels = identities(tb, c), routes(tb), tunnels(tb)
	if c&policyGone != 0 {
		return s
	}
	s.Rules = rulesets[c]
	var err error
	if s.Policy, err = classify.Link(s.Rules, s.Identity.AllSets()); err != nil {
		tb.Fatal(err)
	}
	return s
}

func gateways(v4, v6 string) []dataplane.Gateway {
	return []dataplane.Gateway{{Addr: address(v4), Bits: 24}, {Addr: address(v6), Bits: 64}}
}

func identities(tb testing.TB, c change) *identity.Table {
	b := identity.NewBuilder()
	for i, h := range hosts(c) {
		var addrs []identity.Address
		for _, a := range h.addrs {
			addrs = append(addrs, identity.Address{Addr: a, Sets: []uint32{0, uint32(i + 1)}})
		}
		b.Endpoint(identity.Endpoint{Name: h.name, Segment: h.segment, Zone: 1, MAC: h.mac, Port: h.port, Peer: h.peer}, addrs, nil)
	}
	t, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func routes(tb testing.TB) *route.Table {
	b := route.NewBuilder()
	for i, p := range []string{"10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"} {
		b.Connected(1, netip.MustParsePrefix(p), uint16(i))
	}
	b.Static(1, behindC, netip.MustParseAddr("10.0.1.3"))
	t, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func tunnels(tb testing.TB) *vxlan.Table {
	b := vxlan.NewBuilder()
	b.Local(vtep[0])
	b.Local(vtep[1])
	b.Segment(shop, 100)
	b.Segment(loud, 102)
	b.Peer(0, peers[0], []uint16{shop, loud})
	b.Peer(1, peers[1], []uint16{shop, loud})
	t, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// allows is the oracle of the policy: the first rule that names both ends and
// the port, read in order; deny where none does.
func (c change) allows(k *packet.Key, dport uint16) bool {
	if c&policyGone != 0 {
		return false
	}
	from, to := serviceOf(&k.Src), serviceOf(&k.Dst)
	for _, r := range rulesets[c].Rules {
		names := func(list []policy.SetID, s policy.SetID) bool {
			return slices.Contains(list, s) || slices.Contains(list, policy.Any)
		}
		match := func(p policy.Port) bool { return p.Matches(k.Proto, k.SrcPort, dport) }
		if names(r.From, from) && names(r.To, to) && slices.ContainsFunc(r.Ports, match) {
			return r.Verdict == policy.Allow
		}
	}
	return false
}

// serviceOf is the service of an address's endpoint; none's is Any, which every
// rule for Any names.
func serviceOf(a *packet.Addr) policy.SetID {
	for i := range everybody {
		if slices.Contains(everybody[i].addrs, *a) {
			return policy.SetID(i + 1)
		}
	}
	return policy.Any
}
