package dataplane

import (
	"fmt"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// DHCP's ports (RFC 2131 4.1, RFC 8415 7.2).
const (
	dhcpServer  = 67
	dhcpClient  = 68
	dhcp6Client = 546
	dhcp6Server = 547
)

// mldv2Report is the type of a multicast listener report (RFC 3810 5.2).
const mldv2Report = 143

// identify finds who sent an IP packet, and refuses a sender that is not who
// it says it is: on a port, MAC and IP must be bound to it together; from the
// overlay, they must be registered at the peer that sent the frame.
func (x *walk) identify(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	if martian(&h.Key.Dst) || noSource(&h.Key.Src) {
		return drop.Martian
	}
	if rogue := poses(f, p); rogue != drop.None {
		return rogue
	}
	if p.peer != NoPeer {
		return x.identifyRemote(f, p)
	}
	src, bound := x.s.Identity.Source(f.Ingress, p.segment, h.Src, p.seg.Zone, &h.Key.Src)
	if !bound {
		if reason := x.unbound(f, p); reason != drop.None {
			return reason
		}
		src = x.destination(p.seg.Zone, &h.Key.Src)
	}
	p.src, p.bound = src, bound
	if x.rec != nil {
		x.rec.note("identify", "source is %s, bound to port %s", x.whoHas(p.seg.Zone, &h.Key.Src), x.s.Names.port(f.Ingress))
	}
	return drop.None
}

// unbound is the reason to drop a packet whose address is not bound to its MAC
// and port together; none if it is one that a host sends without. An address
// that is bound vouches for its MAC, so the MAC is asked for here only.
func (x *walk) unbound(f *packet.Frame, p *passage) drop.Reason {
	reason := drop.SpoofedIP
	switch {
	case !x.s.Identity.BoundMAC(f.Ingress, p.segment, f.Headers.Src):
		reason = drop.SpoofedMAC
	case x.quietSource(f, p):
		return drop.None
	}
	if x.rec != nil {
		x.noteBound(f)
	}
	return reason
}

// poses tells of a packet by which a workload would be taken for what it is not: for
// the segment's gateway, or for a multicast router.
func poses(f *packet.Frame, p *passage) drop.Reason {
	if p.seg.Snooping && !f.Headers.Dst.IsMulticast() && packet.IsQuery(f) && !mayQuery(p) {
		return drop.RogueQuery // to one host alone, which would believe it (RFC 3376 4.1.12): no rule can allow it
	}
	return rogueAnswer(&f.Headers)
}

// rogueAnswer tells of what only the segment's own gateway may say, wherever it
// comes from: what a DHCP server answers, a router's advertisement over ICMP (RFC
// 1256), and a redirect. A server's answer is known by either of its ports: a
// client hears what comes to its own, from whatever port it was sent.
func rogueAnswer(h *packet.Headers) drop.Reason {
	switch h.Key.Proto {
	case packet.ProtoUDP:
		if h.Key.SrcPort == dhcpServer || h.Key.SrcPort == dhcp6Server || h.Key.DstPort == dhcpClient || h.Key.DstPort == dhcp6Client {
			return drop.RogueDHCP
		}
	case packet.ProtoICMP:
		switch h.ICMPType {
		case packet.ICMPRedirect:
			return drop.RogueRedirect
		case packet.ICMPRouterAdvertisement:
			return drop.RogueRA
		}
	}
	return drop.None
}

// quietSource tells of the packets that a host sends before it has, or without
// using, an address of its own: multicast listener reports and the like from
// :: or from its link-local address. They are nobody's in particular, so only a
// rule for any can speak of them; and what is no question, as a report, opens
// no session, so it ends here by a reason that says so.
func (x *walk) quietSource(f *packet.Frame, p *passage) bool {
	h := &f.Headers
	switch h.Key.Src {
	case packet.Addr{}:
		return h.Key.Proto == packet.ProtoICMPv6 && h.ICMPType == mldv2Report
	case zero4:
		return p.seg.Snooping && h.Key.Proto == packet.ProtoIGMP // RFC 3376 4.2.13
	}
	return x.s.Identity.BoundLinkLocal(f.Ingress, p.segment, h.Src, &h.Key.Src)
}

// quietRemote is the same of a host behind a peer, whose MAC is held against
// the peer besides.
func quietRemote(f *packet.Frame, p *passage) bool {
	h := &f.Headers
	if h.Key.Src == zero4 {
		return p.seg.Snooping && h.Key.Proto == packet.ProtoIGMP
	}
	if h.Key.Src == (packet.Addr{}) {
		return h.Key.Proto == packet.ProtoICMPv6 && h.ICMPType == mldv2Report
	}
	return identity.IsLinkLocalOf(&h.Key.Src, h.Src)
}

// identifyRemote finds the sender of a packet that came by the overlay. Where
// the segment learns, an address that nobody is registered with may come from
// any peer: as of the group that the peer speaks for, or as who the policy takes
// the address for. What is registered is who it is registered as, whatever the
// frame says.
func (x *walk) identifyRemote(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	if p.seg.Snooping && h.Src == p.seg.GatewayMAC && packet.IsMembership(f) {
		return drop.None // another host's gateway asks who listens
	}
	id, known, bound := x.s.Identity.RemoteSource(p.peer, p.segment, h.Src, h.Src == p.seg.GatewayMAC, p.seg.Zone, &h.Key.Src)
	if !bound && (known || p.seg.isGateway(&h.Key.Src) || !p.seg.Learning && !quietRemote(f, p)) {
		return drop.SpoofedRemote
	}
	grouped := p.group != 0 && !known && !bound
	p.grouped = grouped
	if grouped {
		id = x.s.Identity.InGroup(p.group, id)
	}
	p.src = id
	if reason := x.remoteMAC(f, p); reason != drop.None {
		return reason
	}
	if x.rec != nil {
		how := "registered at"
		if !bound {
			how = "heard from"
		}
		if grouped {
			how = fmt.Sprintf("of group %d (%s) by the word of", p.group, x.setNames(id))
		}
		x.rec.note("identify", "source is %s, %s peer %s", x.whoHas(p.seg.Zone, &h.Key.Src), how, x.s.Names.peer(p.peer))
	}
	return drop.None
}

// remoteMAC refuses a source MAC that is bound elsewhere, and notes one that
// nobody is bound to, where the segment learns: it is learned when the frame
// has been believed. A routed packet comes from the gateway's MAC, which is the
// same on every host.
func (x *walk) remoteMAC(f *packet.Frame, p *passage) drop.Reason {
	mac := f.Headers.Src
	if ep, found := x.s.Identity.ByMAC(p.segment, mac); found {
		if x.s.Identity.Endpoint(ep).Peer != p.peer {
			return drop.SpoofedRemote
		}
		return drop.None
	}
	if mac == p.seg.GatewayMAC {
		return drop.None
	}
	if !p.seg.Learning {
		return drop.SpoofedRemote
	}
	p.stranger = true
	return drop.None
}

// martian tells of a destination that no packet between hosts may have: this
// host, "this network", and IPv4's reserved block (RFC 6890), but for the
// limited broadcast.
func martian(a *packet.Addr) bool {
	if a.Is4() {
		switch b := a[12]; {
		case b == 0, b == 127:
			return true
		case b >= 240:
			return *a != limitedBroadcast
		}
		return false
	}
	return *a == (packet.Addr{}) || *a == packet.Addr{15: 1}
}

// noSource tells of a source that no packet may have: a group's, a loopback or
// a broadcast address, or one of IPv4's reserved block (RFC 1122 3.2.1.3). The
// unspecified address is left to who may use it.
func noSource(a *packet.Addr) bool {
	if a.Is4() {
		b := a[12]
		return b == 127 || b >= 224 || b == 0 && *a != zero4
	}
	return a[0] == 0xff || *a == packet.Addr{15: 1}
}

var limitedBroadcast = packet.AddrFrom4([4]byte{255, 255, 255, 255})

// target returns whom the policy sees in a frame's destination: an endpoint, a
// stranger of the group that its MAC last spoke for, or the address's networks.
func (x *walk) target(f *packet.Frame, p *passage) identity.ID {
	return x.targetBy(x.s.Identity, f, p)
}

// targetBy is target by a table.
func (x *walk) targetBy(who *identity.Table, f *packet.Frame, p *passage) identity.ID {
	id, registered := who.Identify(p.seg.Zone, &f.Headers.Key.Dst)
	if registered || !who.HasGroups() || !p.seg.Learning {
		return id
	}
	d, found := x.State.FDB.Lookup(p.segment, f.Headers.Dst, x.now)
	if !found || d.Group == 0 || x.s.Tunnels == nil || !x.s.Tunnels.MaySpeak(d.Peer, d.Group) {
		return id // what was learned is no longer believed
	}
	return who.InGroup(d.Group, id)
}

// destination returns what the policy knows of any address.
func (x *walk) destination(zone uint16, a *packet.Addr) identity.ID {
	id, _ := x.s.Identity.Identify(zone, a)
	return id
}
