package dataplane

import (
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
)

// Address translation stands at both ends of the walk (package nat has the why).
// A packet for an outside address arrives: it is given the inside name first, and
// from then on is judged and routed as if it had been sent to that. A packet that
// leaves by a port of this host for where no endpoint is departs: it is given its
// outside name last. So a reply from whom the outside reached by an outside name
// departs, too, be it to another workload.

// translation is what is done to one frame.
type translation struct {
	arrived bool    // it was sent to an outside end, and now is for the inside one
	departs bool    // it is to leave by the outside end that as names
	outside nat.End // arrived: where it was sent to
	as      nat.End
}

// arrive gives a packet that was sent to the gateway for an outside address its
// inside name: what a rule publishes there, or who has left by it.
func (x *walk) arrive(f *packet.Frame, p *passage) drop.Reason {
	h := &f.Headers
	x.nat = translation{}
	if h.Kind == packet.KindFragment {
		if x.s.NAT.Owns(p.seg.Zone, &h.Key.Dst) {
			return drop.NATFragment // only the first has the port that says whose it is
		}
		return drop.None
	}
	if p.peer != NoPeer || h.Dst != p.seg.GatewayMAC || !x.s.NAT.Owns(p.seg.Zone, &h.Key.Dst) {
		return drop.None
	}
	// An error is for who sent the packet that it quotes.
	proto, query, outside := h.Key.Proto, h.Key.Query, nat.End{Addr: h.Key.Dst, Port: h.Key.DstPort}
	if h.ICMPError {
		proto, query, outside.Port = h.Inner.Proto, h.Inner.Query, h.Inner.SrcPort
		if h.Inner.Src != h.Key.Dst {
			return drop.ICMPUnmatched
		}
	}
	inside, found := x.inward(p.seg.Zone, proto, query, &outside)
	if !found {
		return drop.NATUnmapped
	}
	x.nat.arrived, x.nat.outside = true, outside
	packet.SetDestination(f, &inside.Addr, inside.Port)
	key := &h.Key
	if h.ICMPError {
		packet.SetQuotedSource(f, &inside.Addr, inside.Port)
		key = &h.Inner
	}
	p.hash = x.State.Sessions.hash(key) // its row was a guess about the other name
	if x.rec != nil {
		x.rec.note("identify", "sent to outside address %s, which is %s", outside, inside)
	}
	return drop.None
}

// inward finds whom an outside end stands for.
func (x *walk) inward(zone uint16, proto uint8, query packet.Query, outside *nat.End) (nat.End, bool) {
	if inside, found := x.s.NAT.Published(zone, proto, *outside); found {
		return inside, true
	}
	if !nat.Translates(proto, query) {
		return nat.End{}, false
	}
	return x.State.NAT.Inward(zone, proto, query, outside)
}

// sourceRule returns the rule by which a packet of no session would depart; nil:
// it would leave as it is.
func (x *walk) sourceRule(f *packet.Frame, p *passage) *nat.Source {
	if p.way.peer != NoPeer || p.way.kind > wayRoute {
		return nil
	}
	if _, _, endpoint := x.s.Identity.ByAddr(p.seg.Zone, &f.Headers.Key.Dst); endpoint {
		return nil
	}
	return x.s.NAT.SourceFor(&f.Headers.Key)
}

// translates tells whether a packet that opens no session has been translated,
// or would have to be.
func (x *walk) translates(f *packet.Frame, p *passage) bool {
	return x.nat.arrived || x.sourceRule(f, p) != nil
}

// translateNew finds the mapping of a session that is about to be opened; zero
// if it is not translated. In a trace nothing is mapped.
func (x *walk) translateNew(f *packet.Frame, p *passage) (nat.Tag, drop.Reason) {
	h := &f.Headers
	if x.s.NAT.Owns(p.seg.Zone, &h.Key.Src) {
		return 0, drop.SpoofedIP // it is the switch's own: nobody is there
	}
	rule := (*nat.Source)(nil)
	if !x.nat.arrived {
		if rule = x.sourceRule(f, p); rule == nil {
			return 0, drop.None
		}
	}
	switch {
	case !nat.Translates(h.Key.Proto, h.Key.Query):
		return 0, drop.NATProtocol
	case h.Kind == packet.KindFragment:
		return 0, drop.NATFragment
	case x.rec != nil:
		if rule != nil {
			x.rec.note("known", "its source becomes one of %d outside addresses, with a port of %d-%d", len(rule.Pool), rule.Least, rule.Most)
		}
		return 0, drop.None
	case rule == nil:
		return x.State.NAT.Arrive(x.s.NAT, p.seg.Zone, h.Key.Proto, h.Key.Query, &x.nat.outside)
	}
	tag, reason := x.State.NAT.Leave(x.s.NAT, rule, &h.Key, x.account(f, p))
	if reason == drop.None {
		x.nat.departs, x.nat.as = true, x.State.NAT.Of(tag).Outside
	}
	return tag, reason
}

// account is who is charged with a mapping: the port, or the peer, that a packet
// came in by.
func (x *walk) account(f *packet.Frame, p *passage) uint16 { return uint16(x.bucketOf(f, p)) }

// translateKnown finds out how a packet of an open session is translated: one to
// the inside end must have come by the outside name, one from there departs.
func (x *walk) translateKnown(table *conntrack.Table, s *conntrack.Session, dir conntrack.Direction, f *packet.Frame) drop.Reason {
	tag := nat.Tag(table.Tag(s))
	if tag == 0 {
		if x.nat.arrived {
			return drop.NATMismatch
		}
		return drop.None
	}
	outside := x.State.NAT.Of(tag).Outside
	if (tag.Role() == nat.Opener) == (dir == conntrack.Original) {
		x.nat.departs, x.nat.as = true, outside
	}
	if x.nat.departs == x.nat.arrived || x.nat.arrived && x.nat.outside != outside {
		return drop.NATMismatch
	}
	if x.nat.departs && f.Headers.Kind == packet.KindFragment {
		return drop.NATFragment
	}
	if x.rec != nil && x.nat.departs {
		x.rec.note("known", "its source becomes %s", outside)
	}
	return drop.None
}

// sameNames tells whether a session is still translated as it was when it was
// opened. One that has to be now and was not cannot go on: its other end knows
// it by its inside name.
func (x *walk) sameNames(table *conntrack.Table, s *conntrack.Session, dir conntrack.Direction, f *packet.Frame, p *passage) bool {
	tag := nat.Tag(table.Tag(s))
	if tag != 0 {
		return x.s.NAT.Uphold(x.State.NAT.Of(tag))
	}
	if x.nat.arrived {
		return true // translateKnown refuses it
	}
	if dir == conntrack.Reply {
		return x.openerRule(f, p) == nil // who speaks first must not decide
	}
	return x.sourceRule(f, p) == nil
}

// openerRule is sourceRule for the packets that an answer is to: they go to where
// it has come from.
func (x *walk) openerRule(f *packet.Frame, p *passage) *nat.Source {
	if p.peer != NoPeer {
		return nil
	}
	if _, _, endpoint := x.s.Identity.ByAddr(p.seg.Zone, &f.Headers.Key.Src); endpoint {
		return nil
	}
	key := f.Headers.Key.Reverse()
	return x.s.NAT.SourceFor(&key)
}

// translateError finds out how an ICMP error about a session is translated. One
// about a packet that came from the inside end must have come by the outside
// name; one about a packet to it departs, and what it quotes with it.
func (x *walk) translateError(table *conntrack.Table, s *conntrack.Session, f *packet.Frame) drop.Reason {
	tag := nat.Tag(table.Tag(s))
	if tag == 0 {
		if x.nat.arrived {
			return drop.NATMismatch
		}
		return drop.None
	}
	m, h := x.State.NAT.Of(tag), &f.Headers
	if (nat.End{Addr: h.Inner.Dst, Port: h.Inner.DstPort}) == m.Inside {
		x.nat.departs, x.nat.as = true, m.Outside
	}
	if x.nat.departs == x.nat.arrived || x.nat.arrived && x.nat.outside != m.Outside {
		return drop.NATMismatch
	}
	return drop.None
}

// depart gives a packet that leaves its outside name.
func (x *walk) depart(f *packet.Frame) {
	if !x.nat.departs {
		return
	}
	as := &x.nat.as
	if f.Headers.ICMPError {
		packet.SetQuotedDestination(f, &as.Addr, as.Port)
	}
	packet.SetSource(f, &as.Addr, as.Port)
}

// unarrive gives a copy of a packet that has arrived its outside name back: what
// its sender is told of must be what it sent.
func (x *walk) unarrive(c *packet.Frame) {
	if x.nat.arrived {
		packet.SetDestination(c, &x.nat.outside.Addr, x.nat.outside.Port)
	}
}
