package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/route"
)

// wayKind is how a packet goes on.
type wayKind uint8

const (
	wayBridge     wayKind = iota // to another port or peer of the segment
	wayRoute                     // through the gateway, to an endpoint of any segment of the VRF
	wayFlood                     // to every port of the segment
	wayGateway                   // to the gateway itself
	wayMembership                // to the switch: who listens to a group
)

// way is where a packet is to go. It is found before the packet is judged,
// so that nothing without a way can open a session, and followed after.
type way struct {
	kind    wayKind
	segment uint16        // where it comes out
	port    packet.PortID // the port there; NoPort if it goes to a peer
	peer    uint16        // the peer; NoPeer if it goes to a port
	mac     packet.MAC    // wayRoute: the next hop's
	most    uint32        // bytes of IP that it takes; 0: mtu finds out
}

// find finds the way of an IP packet. A destination MAC and a destination IP
// that contradict each other are refused: otherwise a packet judged by the one
// would be delivered by the other.
func (x *walk) find(f *packet.Frame, p *passage) drop.Reason {
	var reason drop.Reason
	switch mac := f.Headers.Dst; {
	case mac.IsMulticast():
		reason = x.findFlood(f, p)
	case mac == p.seg.GatewayMAC && mac != packet.MAC{}:
		reason = x.findRoute(f, p)
	default:
		reason = x.findBridge(f, p)
	}
	if reason != drop.None {
		if x.rec != nil {
			x.rec.note("forward", "%s at %s is %s", f.Headers.Key.Dst, f.Headers.Dst, x.whoHas(p.seg.Zone, &f.Headers.Key.Dst))
		}
		return reason
	}
	if p.way.kind <= wayRoute && p.way.port == f.Ingress && p.way.segment == p.segment {
		return drop.Hairpin // on a trunk the gateway routes from one VLAN to another
	}
	if p.way.peer != NoPeer && p.peer != NoPeer {
		return drop.Hairpin // split horizon: what came from a peer goes to none
	}
	return drop.None
}

// findBridge finds the owner of a unicast MAC in the segment.
func (x *walk) findBridge(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	ep, owns, found := x.s.Identity.ByMACFor(p.segment, h.Dst, p.seg.Zone, &h.Key.Dst)
	if found && !owns {
		return drop.Misdirected
	}
	if found {
		e := x.s.Identity.Endpoint(ep)
		p.way, p.settled = way{kind: wayBridge, segment: p.segment, port: e.Port, peer: e.Peer}, true
		return drop.None
	}
	if _, _, known := x.s.Identity.ByAddr(p.seg.Zone, &h.Key.Dst); known {
		return drop.Misdirected
	}
	if port, peer, found := x.learned(p.segment, h.Dst); found {
		p.way = way{kind: wayBridge, segment: p.segment, port: port, peer: peer}
		return drop.None
	}
	if !p.seg.FloodUnknown {
		return drop.UnknownUnicast
	}
	return x.mayFlood(f, p, stormUnknown)
}

// findFlood checks that a frame to a group's MAC is for a group, and that the
// segment floods.
func (x *walk) findFlood(f *packet.Frame, p *passage) drop.Reason {
	if !p.seg.isGroup(&f.Headers.Key.Dst) {
		return drop.Misdirected
	}
	if !p.seg.FloodBroadcast {
		return drop.FloodOff
	}
	if p.seg.Snooping && packet.IsMembership(f) {
		p.way = way{kind: wayMembership, segment: p.segment, port: packet.NoPort, peer: NoPeer}
		return drop.None
	}
	return x.mayFlood(f, p, stormOf(f.Headers.Dst))
}

// mayFlood says that a frame is to be flooded, unless its port has had as much
// of the kind flooded as it may. That is asked before the policy is: a storm
// costs no more than to know that it is one.
func (x *walk) mayFlood(f *packet.Frame, p *passage, kind storm) drop.Reason {
	p.way = way{kind: wayFlood, segment: p.segment, port: packet.NoPort, peer: NoPeer}
	if p.port.L2 == nil || p.counted {
		return drop.None
	}
	return x.calm(f, p.port.L2, kind)
}

// findRoute finds the next hop of a packet that was sent to the gateway. An
// endpoint of the VRF is its own host route; else the longest prefix decides,
// and its next hop must be an endpoint.
func (x *walk) findRoute(f *packet.Frame, p *passage) drop.Reason {
	dst := &f.Headers.Key.Dst
	if p.seg.isGateway(dst) || p.seg.isGatewayLink(dst) {
		p.way = way{kind: wayGateway, segment: p.segment, port: packet.NoPort, peer: NoPeer}
		return drop.None
	}
	if p.peer != NoPeer {
		// Routed once already, by the sender's gateway, or sent to a gateway
		// that every host has: either way its own host should have routed it.
		return drop.NoRoute
	}
	if isMulticast(dst) {
		return drop.Misdirected
	}
	zone := p.seg.Zone
	ep, _, found := x.s.Identity.ByAddr(zone, dst)
	p.settled = found
	if !found {
		next, routed := x.s.Routes.Lookup(zone, dst)
		if !routed {
			return drop.NoRoute
		}
		if ep, found = x.nextHop(next, f, p); !found {
			return drop.NoNeighbour
		}
	}
	e := x.s.Identity.Endpoint(ep)
	p.way = way{kind: wayRoute, segment: e.Segment, port: e.Port, peer: e.Peer, mac: e.MAC}
	return drop.None
}

// nextHop finds the endpoint that is the next hop of a route: of several, the one
// that the flow wants most of those whose port there is.
func (x *walk) nextHop(next *route.Next, f *packet.Frame, p *passage) (ep uint32, found bool) {
	zone, hash := p.seg.Zone, p.hash
	if f.Headers.Kind == packet.KindFragment {
		// Of the addresses alone: not every fragment has the ports.
		hash = x.State.Sessions.hash(&packet.Key{Src: f.Headers.Key.Src, Dst: f.Headers.Key.Dst, Zone: zone})
	}
	var most uint64
	for i := range next.Hops() {
		at, _, known := x.s.Identity.ByAddr(zone, next.Hop(i))
		if !known || next.Hops() > 1 && !x.works(at) {
			continue
		}
		if w := next.Weight(i, hash); !found || w > most {
			ep, most, found = at, w, true
		}
	}
	return ep, found
}

// works tells whether an endpoint's port, or the way to its peer, is there.
func (x *walk) works(endpoint uint32) bool {
	e := x.s.Identity.Endpoint(endpoint)
	if e.Peer != NoPeer {
		return x.s.port(x.s.Underlay.Port) != nil
	}
	return x.s.port(e.Port) != nil
}

// forward sends a packet its way.
func (x *walk) forward(f *packet.Frame, p *passage) drop.Reason {
	switch p.way.kind {
	case wayFlood:
		if x.s.NAT != nil && x.nat.departs {
			return drop.NATMismatch // its other end does not know it by this name
		}
		return x.flood(f, p)
	case wayRoute:
		if reason := x.route(f, p); reason != drop.None {
			return reason
		}
	default:
		if mtu := x.mtu(&p.way); uint32(packet.WireLen(f)) > mtu {
			return x.errorTooBig(f, p, mtu)
		}
	}
	if f.Headers.TCPFlags&packet.TCPSyn != 0 && f.Headers.Kind == packet.KindIP {
		x.clampMSS(f, p)
	}
	if x.s.NAT != nil {
		x.depart(f)
	}
	if p.way.peer != NoPeer {
		return x.encap(f, p)
	}
	if x.rec != nil && x.s.port(p.way.port) != nil {
		x.rec.note("forward", "to port %s", x.s.Names.port(p.way.port))
	}
	return x.leave(f, p.way.port, p.way.segment)
}

// leave ends a frame of a segment at a port that is in it.
func (x *walk) leave(f *packet.Frame, id packet.PortID, segment uint16) drop.Reason {
	out := x.s.port(id)
	if out == nil {
		return drop.PortDown
	}
	if out.L2 != nil {
		if reason := x.discharge(f, id, out.L2, segment); reason != drop.None {
			return reason
		}
	}
	f.Send(id)
	return drop.None
}

// route is the gateway: TTL down, both MACs new (RFC 1812 5.2.1, 5.3.1).
func (x *walk) route(f *packet.Frame, p *passage) drop.Reason {
	if f.Headers.TTL <= 1 {
		return x.errorTTL(f, p)
	}
	out := &x.s.Segments[p.way.segment]
	if mtu := x.mtu(&p.way); uint32(packet.WireLen(f)) > mtu {
		return x.errorTooBig(f, p, mtu)
	}
	if x.rec != nil {
		x.rec.note("forward", "routed into segment %s, next hop %s", x.s.Names.segment(p.way.segment), p.way.mac)
	}
	packet.DecTTL(f)
	packet.SetMACs(f, p.way.mac, out.GatewayMAC)
	return drop.None
}

// mtu returns how many bytes of IP a way takes: no more than its segment, its
// port, or, in a tunnel, the uplink less the tunnel's own headers.
func (x *walk) mtu(w *way) uint32 {
	if w.most != 0 {
		return w.most
	}
	return x.mtuOf(w)
}

// mtuOf is mtu of a way of which it is not known.
func (x *walk) mtuOf(w *way) uint32 {
	most, id := x.s.Segments[w.segment].MTU, w.port
	if w.peer != NoPeer {
		id = x.s.Underlay.Port
	}
	out := x.s.port(id)
	if out == nil {
		return most // what has no way out ends for that reason
	}
	room := out.MTU
	if w.peer != NoPeer && x.s.Tunnels != nil {
		room = x.path(w.peer, room)
		room -= min(room, x.s.Tunnels.Overhead(w.peer))
	}
	return min(most, room)
}

// clampMSS lowers what a TCP SYN announces to what fits both ways: the announcement
// is for what comes back, the answer's will be for what goes. So a connection that
// crosses a tunnel, or a segment with a smaller MTU, does not depend on ICMP errors
// that somebody may drop (RFC 4459 3.2).
func (x *walk) clampMSS(f *packet.Frame, p *passage) {
	back := way{segment: p.segment, port: f.Ingress, peer: p.peer}
	mtu := min(x.mtu(&p.way), x.mtu(&back))
	if packet.ClampMSS(f, mtu) && x.rec != nil {
		x.rec.note("forward", "its segments are held to an MTU of %d", mtu)
	}
}

// path returns how many bytes of IP get to a peer by an uplink that takes so many.
func (x *walk) path(peer uint16, room uint32) uint32 {
	remote, _ := x.s.Tunnels.PeerAddr(peer)
	if learned := x.State.Paths.MTU(&remote, x.now); learned != 0 {
		return min(room, learned)
	}
	return room
}

// isMulticast tells whether the address is a multicast group's.
func isMulticast(a *packet.Addr) bool {
	if a.Is4() {
		return a[12]>>4 == 14
	}
	return a[0] == 0xff
}

// isGroup tells whether the address is for more than one host of the segment:
// multicast, limited broadcast, or the broadcast of one of its subnets.
func (g *Segment) isGroup(a *packet.Addr) bool {
	if isMulticast(a) || *a == limitedBroadcast {
		return true
	}
	if !a.Is4() {
		return false
	}
	for i := range g.Gateways {
		if gw := &g.Gateways[i]; gw.Addr.Is4() && gw.Bits < 31 && *a == gw.broadcast() {
			return true
		}
	}
	return false
}

// broadcast returns the directed broadcast address of an IPv4 gateway's subnet.
func (g *Gateway) broadcast() packet.Addr {
	b := g.Addr
	for bit := int(g.Bits); bit < 32; bit++ {
		b[12+bit/8] |= 0x80 >> (bit % 8)
	}
	return b
}
