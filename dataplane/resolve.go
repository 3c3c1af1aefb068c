package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// Address resolution is answered here, from what is bound and registered, so
// that it neither has to be flooded nor can be lied to: no workload sees
// another's ARP or ND, and none can claim what is not its own (RFC 826, RFC
// 4861; the attacks are in RFC 3756).
//
// A peer that is a switch like this one asks for nothing. A plain VXLAN host
// knows our endpoints' MACs only by asking, so its questions are answered as
// the endpoint itself would, to that peer alone; those for endpoints of other
// peers, and for the gateway, which serves the workloads of its own host, are
// not. Where a segment learns, what a peer's hosts answer is passed on to the
// workload that asked; what nobody is known to hold they may claim.

// arp is the walk of an ARP packet: its sender must be bound, in the Ethernet
// header and in the ARP header; a request is answered if the owner of the
// address is known; all else ends here.
func (x *walk) arp(f *packet.Frame, p *passage) drop.Reason {
	a := packet.ARPOf(f)
	if reason := x.arpSender(f, p, &a); reason != drop.None {
		return reason
	}
	x.learn(f, p)
	if x.rec != nil {
		x.noteSender(f, p, "ARP")
	}
	if a.SenderIP == a.TargetIP {
		f.Consumed = true // gratuitous: nothing to learn, bindings are known
		return drop.None
	}
	if a.Op != packet.ARPRequest {
		return x.passAnswer(f, p)
	}
	mac, found := x.ownerMAC(f, p, &a.TargetIP)
	if !found {
		return x.passQuestion(f, p, drop.ARPUnknown)
	}
	return x.say(f, p, func(c *packet.Frame) bool { return packet.AnswerARP(c, mac) })
}

// arpSender checks the sender of an ARP packet. An address of zero is a probe
// (RFC 5227) and claims nothing.
func (x *walk) arpSender(f *packet.Frame, p *passage, a *packet.ARP) drop.Reason {
	if p.peer != NoPeer {
		if a.SenderMAC != f.Headers.Src {
			return drop.SpoofedARPMAC
		}
		return x.remoteClaim(f, p, &a.SenderIP)
	}
	if !x.s.Identity.BoundMAC(f.Ingress, p.segment, f.Headers.Src) {
		return drop.SpoofedMAC
	}
	if a.SenderMAC != f.Headers.Src {
		return drop.SpoofedARPMAC
	}
	if a.SenderIP == zero4 {
		return drop.None
	}
	if _, bound := x.s.Identity.Source(f.Ingress, p.segment, f.Headers.Src, p.seg.Zone, &a.SenderIP); !bound {
		return drop.SpoofedARP
	}
	return drop.None
}

var zero4 = packet.AddrFrom4([4]byte{})

// ownerMAC finds the MAC to answer with: the gateway's, or that of an endpoint
// of the segment other than the one that asks. A peer is told of endpoints of
// this host only.
func (x *walk) ownerMAC(f *packet.Frame, p *passage, a *packet.Addr) (packet.MAC, bool) {
	if x.isOurs(p.seg, a) {
		return p.seg.GatewayMAC, p.peer == NoPeer
	}
	ep, _, found := x.s.Identity.ByAddr(p.seg.Zone, a)
	if !found {
		return packet.MAC{}, false
	}
	e := x.s.Identity.Endpoint(ep)
	if e.Segment != p.segment || e.MAC == f.Headers.Src || p.peer != NoPeer && e.Peer != NoPeer {
		return packet.MAC{}, false
	}
	return e.MAC, true
}

// passQuestion passes on a question that nobody here can answer: to every port
// and peer where the segment floods, or to the one host that it is sent to,
// whose MAC was learned; else it ends with the reason.
func (x *walk) passQuestion(f *packet.Frame, p *passage, otherwise drop.Reason) drop.Reason {
	if f.Headers.Dst.IsMulticast() {
		if !p.seg.FloodBroadcast {
			return otherwise
		}
		if reason := x.mayFlood(f, p, stormOf(f.Headers.Dst)); reason != drop.None {
			return reason
		}
		return x.flood(f, p)
	}
	_, peer, found := x.learned(p.segment, f.Headers.Dst)
	if !found || peer == NoPeer || p.peer != NoPeer {
		return otherwise
	}
	p.way = way{kind: wayBridge, segment: p.segment, port: packet.NoPort, peer: peer}
	return x.floodOut(f, p)
}

// passAnswer gives the answer of a host behind a peer to the workload that
// asked, where the segment learns. Other answers tell nothing new: bindings are
// known.
func (x *walk) passAnswer(f *packet.Frame, p *passage) drop.Reason {
	ep, found := x.s.Identity.ByMAC(p.segment, f.Headers.Dst)
	if p.peer == NoPeer || !p.seg.Learning || !found || x.s.Identity.Endpoint(ep).Peer != NoPeer {
		f.Consumed = true
		return drop.None
	}
	p.way = way{kind: wayBridge, segment: p.segment, port: x.s.Identity.Endpoint(ep).Port, peer: NoPeer}
	return x.floodOut(f, p)
}

// nd is the walk of neighbour discovery.
func (x *walk) nd(f *packet.Frame, p *passage) drop.Reason {
	switch f.Headers.ICMPType {
	case packet.NDRouterAdvertisement:
		return drop.RogueRA
	case packet.NDRedirect:
		return drop.RogueRedirect
	}
	if !packet.VerifyChecksum(f) {
		return drop.BadChecksum // RFC 4861 7.1.1, 7.1.2
	}
	n := packet.NDOf(f)
	if reason := x.ndSender(f, p, &n); reason != drop.None {
		return reason
	}
	x.learn(f, p)
	if x.rec != nil {
		x.noteSender(f, p, "ND")
	}
	unspecified := f.Headers.Key.Src == packet.Addr{}
	if f.Headers.ICMPType == packet.NDNeighbourAdvertisement {
		return x.passAnswer(f, p)
	}
	if f.Headers.ICMPType == packet.NDRouterSolicitation {
		return x.advertise(f, p)
	}
	if f.Headers.ICMPType != packet.NDNeighbourSolicitation || unspecified {
		f.Consumed = true // a DAD probe
		return drop.None
	}
	mac, found := x.ownerMAC(f, p, &n.Target)
	if !found {
		return x.passQuestion(f, p, drop.NDPUnknown)
	}
	router := x.isOurs(p.seg, &n.Target)
	if p.seg.isGatewayLink(&n.Target) {
		// Who asks whether its router is still there has it from an advertisement, which
		// does not hold for ever; nobody sends them unasked, so here is another.
		if reason := x.advertise(f, p); reason != drop.None {
			return reason
		}
	}
	return x.say(f, p, func(c *packet.Frame) bool { return packet.AnswerND(c, mac, router) })
}

// ndSender checks the sender of an ND packet: its addresses, the link-layer
// option, and for an advertisement the target it claims.
func (x *walk) ndSender(f *packet.Frame, p *passage, n *packet.ND) drop.Reason {
	h := &f.Headers
	if n.HasLinkAddr && n.LinkAddr != h.Src {
		return drop.SpoofedNDLink
	}
	if p.peer != NoPeer {
		return x.ndRemote(f, p, n)
	}
	if !x.s.Identity.BoundMAC(f.Ingress, p.segment, h.Src) {
		return drop.SpoofedMAC
	}
	if h.Key.Src != (packet.Addr{}) && !x.mayClaim(f, p, &h.Key.Src) {
		return drop.SpoofedNDP
	}
	if h.ICMPType == packet.NDNeighbourAdvertisement && !x.mayClaim(f, p, &n.Target) {
		return drop.SpoofedNDTarget
	}
	return drop.None
}

// mayClaim tells whether the sender may speak for an IPv6 address.
func (x *walk) mayClaim(f *packet.Frame, p *passage, a *packet.Addr) bool {
	if _, bound := x.s.Identity.Source(f.Ingress, p.segment, f.Headers.Src, p.seg.Zone, a); bound {
		return true
	}
	return x.s.Identity.BoundLinkLocal(f.Ingress, p.segment, f.Headers.Src, a)
}

// ndRemote checks the sender of an ND packet that came by the overlay.
func (x *walk) ndRemote(f *packet.Frame, p *passage, n *packet.ND) drop.Reason {
	if reason := x.remoteClaim(f, p, &f.Headers.Key.Src); reason != drop.None {
		return reason
	}
	if f.Headers.ICMPType == packet.NDNeighbourAdvertisement {
		return x.remoteClaim(f, p, &n.Target)
	}
	return drop.None
}

// remoteClaim tells whether who sent a frame by the overlay may say that it
// holds an address: it is registered so at that peer, with that MAC; or the
// segment learns and the address is nobody's. No address, and the link-local
// one that a MAC's owner makes for itself, claim nothing.
func (x *walk) remoteClaim(f *packet.Frame, p *passage, a *packet.Addr) drop.Reason {
	mac := f.Headers.Src
	if mac == p.seg.GatewayMAC || x.isOurs(p.seg, a) {
		return drop.SpoofedRemote // no gateway asks, or answers, in the overlay
	}
	if ep, _, found := x.s.Identity.ByAddr(p.seg.Zone, a); found {
		if e := x.s.Identity.Endpoint(ep); e.Peer != p.peer || e.MAC != mac || e.Segment != p.segment {
			return drop.SpoofedRemote
		}
		return drop.None
	}
	if *a != zero4 && *a != (packet.Addr{}) && !identity.IsLinkLocalOf(a, mac) && !p.seg.Learning {
		return drop.SpoofedRemote
	}
	return x.remoteMAC(f, p)
}

// isOurs tells whether the gateway of a segment answers for an address: it is its
// own, or an outside one of the VRF, packets for which are translated here.
func (x *walk) isOurs(g *Segment, a *packet.Addr) bool {
	return g.isGateway(a) || g.isGatewayLink(a) || g.GatewayMAC != packet.MAC{} && x.s.NAT.Owns(g.Zone, a)
}

// say answers f with a copy of it that rewrite turned round, sent the way f
// came; f itself is taken in.
func (x *walk) say(f *packet.Frame, p *passage, rewrite func(*packet.Frame) bool) drop.Reason {
	c, reason := x.answer(f, p, copySize-packet.Headroom)
	if reason != drop.None {
		return reason
	}
	f.Consumed = true
	if x.rec != nil {
		x.rec.note("forward", "answered by the switch")
	}
	if c == nil {
		return drop.None
	}
	if !rewrite(c) {
		c.Drop(drop.NoHeadroom)
		return drop.None
	}
	x.sendBack(c, p)
	return drop.None
}

// sendBack sends an answer to who asked: out of the port, or to the peer.
func (x *walk) sendBack(c *packet.Frame, p *passage) {
	q := *p
	q.way = way{kind: wayBridge, segment: p.segment, port: c.Ingress, peer: p.peer}
	reason := drop.None
	switch {
	case p.peer != NoPeer:
		reason = x.encap(c, &q)
	case p.seg == nil:
		c.Send(c.Ingress) // the underlay's ARP and ND
	default:
		reason = x.leave(c, c.Ingress, p.segment)
	}
	if reason != drop.None {
		c.Drop(reason)
	}
}
