package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// A workload that asks who it is, by DHCP or by soliciting a router, is told what is
// bound: its address, the gateway, the MTU, name servers. There is no pool and
// nothing is leased that could run out, so nothing is kept: each question is answered
// by itself, at the rate of the switch's other answers, to the port that asked. What
// workloads say as servers is dropped before (rogueAnswer), and questions never reach
// another workload.

// defaultLease is how long an address holds where the segment does not say, in
// seconds.
const defaultLease = 3600

// asksDHCP tells whether a packet of UDP is a client's question to the segment's
// server.
func asksDHCP(f *packet.Frame, p *passage) bool {
	h := &f.Headers
	if p.peer != NoPeer || h.Kind == packet.KindFragment {
		return false
	}
	switch h.Key.DstPort {
	case packet.DHCPServerPort:
		return !h.V6 && h.Key.SrcPort == packet.DHCPClientPort && (h.Key.Dst == limitedBroadcast || p.seg.isGateway(&h.Key.Dst))
	case packet.DHCP6ServerPort:
		return h.V6 && h.Key.SrcPort == packet.DHCP6ClientPort && h.Key.Dst == packet.AllDHCP6
	}
	return false
}

// dhcp answers a question.
func (x *walk) dhcp(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	ep, bound := x.s.Identity.At(f.Ingress, p.segment, h.Src)
	switch {
	case !bound:
		return drop.SpoofedMAC
	case h.Key.Src != zero4 && !x.mayClaim(f, p, &h.Key.Src):
		return drop.SpoofedIP
	case !packet.VerifyChecksum(f):
		return drop.BadChecksum
	}
	l, found := x.leaseOf(ep, p, !h.V6)
	if !found {
		return drop.DHCPUnknown
	}
	if h.V6 {
		return x.dhcp6(f, p, &l)
	}
	q, reason := packet.DHCPOf(f)
	if reason != drop.None {
		return reason
	}
	answer := q.Answer(&l)
	if answer == 0 {
		f.Consumed = true // a release, or meant for another server
		return drop.None
	}
	return x.say(f, p, func(c *packet.Frame) bool { return packet.AnswerDHCP(c, &q, answer, &l) })
}

func (x *walk) dhcp6(f *packet.Frame, p *passage, l *packet.Lease) drop.Reason {
	q, reason := packet.DHCP6Of(f)
	if reason != drop.None {
		return reason
	}
	answer := q.Answer(l)
	if answer == 0 {
		f.Consumed = true
		return drop.None
	}
	return x.say(f, p, func(c *packet.Frame) bool { return packet.AnswerDHCP6(c, &q, answer, l) })
}

// advertise answers a router solicitation; without a gateway of IPv6, or an address
// of the workload's in its prefix, there is nothing to say.
func (x *walk) advertise(f *packet.Frame, p *passage) drop.Reason {
	ep, bound := x.s.Identity.At(f.Ingress, p.segment, f.Headers.Src)
	if p.peer != NoPeer || !bound {
		f.Consumed = true
		return drop.None
	}
	l, found := x.leaseOf(ep, p, false)
	if !found {
		f.Consumed = true
		return drop.None
	}
	return x.say(f, p, func(c *packet.Frame) bool { return packet.AnswerRA(c, &l) })
}

// leaseOf says what an endpoint of this host is told of one family: of the first of
// its addresses that is in a prefix of a gateway.
func (x *walk) leaseOf(ep uint32, p *passage, v4 bool) (l packet.Lease, found bool) {
	g := p.seg
	addr, found := x.s.Identity.FindAddr(ep, func(a *packet.Addr) bool { return a.Is4() == v4 && g.gatewayAround(a) != nil })
	if !found {
		return l, false
	}
	gw := g.gatewayAround(&addr)
	l = packet.Lease{Addr: addr, Bits: gw.Bits, Gateway: gw.Addr, MAC: g.GatewayMAC, DNS: g.DNS, MTU: min(g.MTU, p.port.MTU), Seconds: g.Lease}
	l.NoRoute = p.port.NoRoute
	if l.Seconds == 0 {
		l.Seconds = defaultLease
	}
	return l, true
}

// gatewayAround returns the gateway in whose prefix an address is; nil: none.
func (g *Segment) gatewayAround(a *packet.Addr) *Gateway {
	for i := range g.Gateways {
		gw := &g.Gateways[i]
		bits := int(gw.Bits)
		if gw.Addr.Is4() {
			bits += 96
		}
		if gw.Addr.Is4() == a.Is4() && samePrefix(a, &gw.Addr, bits) {
			return gw
		}
	}
	return nil
}

// isGatewayLink tells of the gateway's link-local address, by which IPv6 hosts know
// their router.
func (g *Segment) isGatewayLink(a *packet.Addr) bool {
	return g.GatewayMAC != packet.MAC{} && identity.IsLinkLocalOf(a, g.GatewayMAC)
}
