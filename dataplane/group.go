package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/group"
	"bulkhead/dataplane/packet"
)

// Multicast in a segment that snoops (RFC 4541). What hosts say of the groups
// they listen to, by IGMP and MLD, is between them and the switch, as ARP and ND
// are: no rule is asked, and no other workload hears it, but routers and peers do.
// A group's packets, which the policy judges as any, then go to who listens.
//
// Three kinds of holders hear a group: ports and peers from which a host has
// joined it; ports that the configuration gives to a router; peers from which a
// query came, for a router is behind them. A query from any other port is dropped:
// who is taken for a router hears everything. So nobody can pose as one.
//
// If nobody else asks, the switch does, as the gateway: each port, and each peer.
// A peer of the same kind asks its own ports, and passes what they say on to us.
//
// Addresses that everybody must hear are not pruned: 224.0.0.0/24, ff02::/16,
// broadcast.

var zero6 packet.Addr

// Times of RFC 3376 section 8 and RFC 3810 section 9, which are the same.
const (
	second          = Time(1e9)
	memberTime      = 260 * second // since the last report
	routerTime      = 255 * second // since the last query of somebody else
	lastMemberTime  = 2 * second   // since the one who left
	queryInterval   = 125 * second
	startupInterval = 10 * second // while the switch is young: who listens is not known
	startupTime     = 60 * second
)

// audience is who hears a frame that is flooded.
type audience uint8

const (
	everybody audience = iota
	listeners          // and routers
	routers            // and peers: reports
)

// audienceOf says who hears a frame.
func audienceOf(f *packet.Frame, p *passage) audience {
	dst := &f.Headers.Key.Dst
	switch {
	case !p.seg.Snooping:
		return everybody
	case p.way.kind == wayMembership:
		return p.hearing
	case !isMulticast(dst), dst.Is4() && dst[12] == 224 && dst[13] == 0 && dst[14] == 0, !dst.Is4() && dst[1]&0xf <= 2:
		return everybody
	}
	return listeners
}

// portHears tells whether a port is of the audience.
func (x *walk) portHears(who audience, f *packet.Frame, p *passage, id packet.PortID) bool {
	if out := x.s.port(id); out != nil && out.L2 != nil && out.L2.Router {
		return true
	}
	return who == listeners && x.State.Groups.Has(p.segment, &f.Headers.Key.Dst, group.Port(id), x.now)
}

// peerHears tells whether a peer is. Reports go to every peer: so it knows.
func (x *walk) peerHears(who audience, f *packet.Frame, p *passage, peer uint16) bool {
	if who == routers || x.State.Groups.Has(p.segment, &group.Router, group.Peer(peer), x.now) {
		return true
	}
	return x.State.Groups.Has(p.segment, &f.Headers.Key.Dst, group.Peer(peer), x.now)
}

// holder is who a frame is from.
func holderOf(f *packet.Frame, p *passage) group.Holder {
	if p.peer != NoPeer {
		return group.Peer(p.peer)
	}
	return group.Port(f.Ingress)
}

// membership is the walk of IGMP and MLD. Its sender has been identified.
//
// Each message is copied to peers, so each port and peer may send as many as the
// switch would answer it, and on a port with a bound on multicast no more than that.
func (x *walk) membership(f *packet.Frame, p *passage) drop.Reason {
	if x.rec == nil && !x.answers[x.bucketOf(f, p)].take(x.now, answersPerSecond, answersBurst) {
		return drop.RateLimited
	}
	if p.port.L2 != nil {
		if reason := x.calm(f, p.port.L2, stormMulticast); reason != drop.None {
			return reason
		}
	}
	switch packet.MembershipOf(f) {
	case packet.MembershipQuery:
		return x.memberQuery(f, p)
	case packet.MembershipReport:
		if f.Headers.Src == p.seg.GatewayMAC {
			return drop.SpoofedRemote // no gateway listens
		}
		return x.memberReport(f, p)
	}
	return drop.BadMembership
}

// memberQuery is the question of a router: it is noted, and asked of everybody.
// The gateway itself, on another host, is none.
func (x *walk) memberQuery(f *packet.Frame, p *passage) drop.Reason {
	if !mayQuery(p) {
		return drop.RogueQuery
	}
	if f.Headers.Src == p.seg.GatewayMAC {
		f.Consumed = true
		return drop.None
	}
	if x.rec == nil {
		querier := &group.Querier6
		if !f.Headers.V6 {
			querier = &group.Querier4
		}
		x.State.Groups.Join(p.segment, querier, group.Nobody, x.now, x.now+routerTime)
		if p.peer != NoPeer {
			x.State.Groups.Join(p.segment, &group.Router, group.Peer(p.peer), x.now, x.now+routerTime)
		}
	}
	p.hearing = everybody
	return x.tellMembers(f, p)
}

// mayQuery tells whether a frame may ask who listens: one of a peer, or of a port that
// the configuration gives to a router.
func mayQuery(p *passage) bool {
	return p.peer != NoPeer || p.port.L2 != nil && p.port.L2.Router
}

// memberReport notes who listens, and tells routers and peers.
func (x *walk) memberReport(f *packet.Frame, p *passage) drop.Reason {
	refused := false
	for rec, at, found := packet.NextGroup(f, 0); found && x.rec == nil; rec, at, found = packet.NextGroup(f, at) {
		switch {
		case rec.Silent:
		case rec.Joins:
			joined := x.State.Groups.Join(p.segment, &rec.Group, holderOf(f, p), x.now, x.now+memberTime)
			refused = refused || joined == group.Refused
		case x.State.Groups.Leave(p.segment, &rec.Group, holderOf(f, p), x.now, x.now+lastMemberTime):
			x.askAgain(f, p, &rec.Group)
		}
	}
	if refused {
		return drop.GroupFull
	}
	p.hearing = routers
	return x.tellMembers(f, p)
}

// tellMembers passes a group message on. That nobody is there to hear it is no
// reason to drop it.
func (x *walk) tellMembers(f *packet.Frame, p *passage) drop.Reason {
	reason := x.flood(f, p)
	if reason == drop.NoListener || reason == drop.Hairpin {
		if x.rec != nil {
			x.rec.note("forward", "taken in: who listens is between host and switch")
		}
		f.Consumed = true
		return drop.None
	}
	return reason
}

// askAgain asks a port that somebody has left a group on whether anybody else is
// there who listens to it (RFC 3376 6.4.2).
func (x *walk) askAgain(f *packet.Frame, p *passage, of *packet.Addr) {
	if p.peer != NoPeer {
		return // its own switch does that
	}
	from, found := p.seg.askerFor(of)
	if !found {
		return
	}
	c, limited := x.answer(f, p, 0)
	if limited != drop.None || c == nil {
		return
	}
	x.sendQuery(c, from, of, way{kind: wayBridge, segment: p.segment, port: c.Ingress, peer: NoPeer})
}

// askerFor is the address that the segment's gateway asks from, in a family: its
// own of IPv4, the link-local one of its MAC in IPv6 (RFC 3810 5).
func (g *Segment) askerFor(family *packet.Addr) (from packet.Addr, found bool) {
	if g.GatewayMAC == (packet.MAC{}) {
		return packet.Addr{}, false
	}
	if family.Is4() {
		return g.gatewayFor(family)
	}
	m := &g.GatewayMAC
	return packet.Addr{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]}, true
}

// sendQuery makes c a query and sends it to one place.
func (x *walk) sendQuery(c *packet.Frame, from packet.Addr, of *packet.Addr, to way) {
	p := passage{segment: to.segment, seg: &x.s.Segments[to.segment], peer: NoPeer, way: to}
	reason := drop.NoHeadroom
	if packet.WriteQuery(c, p.seg.GatewayMAC, &from, of) {
		reason = x.floodOut(c, &p)
	}
	if reason != drop.None {
		c.Drop(reason)
	}
}

// asking is how far a worker is with asking a segment's ports and peers.
type asking struct {
	turn uint32 // which of Snapshot.Snooped to look at next
	at   int    // which of its ports, then peers; 0: it is not being asked
}

// asksAtOnce bounds the queries of one Run, of both families.
const asksAtOnce = 32

// ask asks who listens in a segment that nobody else asks, when it is time: some
// ports at a time, so that no batch is held up. It makes frames of its own, which
// are booked as copies of the port that they go out by. One worker does it.
func (x *walk) ask() {
	if x.mine != 0 {
		return
	}
	x.State.Groups.Expire(x.now, asksAtOnce)
	a := &x.asking
	segment := x.s.Snooped[int(a.turn)%len(x.s.Snooped)]
	g := &x.s.Segments[segment]
	if a.at == 0 && !x.dueToAsk(segment) {
		a.turn++
		return
	}
	var peers []uint16
	if x.s.Tunnels != nil {
		peers = x.s.Tunnels.Peers(segment)
	}
	for n := 0; n < asksAtOnce && a.at < len(g.Ports)+len(peers); n += 2 {
		to := way{kind: wayBridge, segment: segment, port: packet.NoPort, peer: NoPeer}
		if a.at < len(g.Ports) {
			to.port = g.Ports[a.at]
		} else {
			to.peer = peers[a.at-len(g.Ports)]
		}
		x.askOne(g, to)
		a.at++
	}
	if a.at >= len(g.Ports)+len(peers) {
		a.at, a.turn = 0, a.turn+1
	}
}

// dueToAsk tells whether it is time, and notes when it will be the next time.
func (x *walk) dueToAsk(segment uint16) bool {
	if x.State.Groups.Has(segment, &group.Asked, group.Nobody, x.now) {
		return false
	}
	interval := queryInterval
	if x.now < startupTime {
		interval = startupInterval
	}
	return x.State.Groups.Join(segment, &group.Asked, group.Nobody, x.now, x.now+interval) != group.Refused
}

// askOne asks one port or peer, in each family in which nobody else does.
func (x *walk) askOne(g *Segment, to way) {
	for _, family := range [2]struct{ all, querier *packet.Addr }{{&zero4, &group.Querier4}, {&zero6, &group.Querier6}} {
		from, found := g.askerFor(family.all)
		if !found || x.State.Groups.Has(to.segment, family.querier, group.Nobody, x.now) {
			continue
		}
		id := to.port
		if to.peer != NoPeer {
			id = x.s.Underlay.Port
		}
		if c := x.fresh(id); c != nil {
			x.sendQuery(c, from, family.all, to)
		}
	}
}

// fresh makes an empty frame that nobody sent, in the place of a copy; it is
// booked at the port that it goes out by.
func (x *walk) fresh(id packet.PortID) *packet.Frame {
	made := x.batch.Len() - x.received
	if made == packet.BatchCopies {
		return nil
	}
	c := x.batch.NextCopy()
	if c == nil {
		return nil
	}
	at := made * copySize
	c.Begin(x.copies[at:at+copySize:at+copySize], packet.Headroom, packet.Headroom, id)
	c.Headers, c.Copy = packet.Headers{}, true
	return c
}
