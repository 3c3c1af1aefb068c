package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/packet"
)

// flood sends a frame to every port of its segment but the one it came in by,
// and to every peer of the segment (head-end replication) unless it came from
// a peer: split horizon, for the peers are a full mesh. Each is a copy; the
// frame received is the last of them, so that a flood to one place copies
// nothing. Of a group's packets, where the segment snoops, only those who listen
// get one.
func (x *walk) flood(f *packet.Frame, p *passage) drop.Reason {
	if uint32(packet.WireLen(f)) > p.seg.MTU {
		return drop.TooBig
	}
	var last way
	any := false
	emit := func(w way) {
		if any {
			x.floodCopy(f, p, last)
		}
		last, any = w, true
	}
	who := audienceOf(f, p)
	for _, port := range p.seg.Ports {
		if port != f.Ingress && (who == everybody || x.portHears(who, f, p, port)) {
			emit(way{kind: wayBridge, segment: p.segment, port: port, peer: NoPeer})
		}
	}
	if p.peer == NoPeer && x.s.Tunnels != nil {
		for _, peer := range x.s.Tunnels.Peers(p.segment) {
			if who == everybody || x.peerHears(who, f, p, peer) {
				emit(way{kind: wayBridge, segment: p.segment, port: packet.NoPort, peer: peer})
			}
		}
	}
	if !any && who != everybody {
		return drop.NoListener
	}
	if !any {
		return drop.Hairpin
	}
	if x.rec != nil {
		x.rec.note("forward", "flooded into segment %s", x.s.Names.segment(p.segment))
	}
	p.way = last
	return x.floodOut(f, p)
}

// floodCopy sends a copy of f by w. Without memory for it the copy is lost,
// and booked: a copy made, a copy dropped.
func (x *walk) floodCopy(f *packet.Frame, p *passage, w way) {
	if x.rec != nil {
		return
	}
	c := x.copyOf(f, f.Len())
	if c == nil {
		x.Counters.lostCopy(f)
		return
	}
	if len(x.s.Mirrors) > 0 {
		x.mirroring.flooded[x.batch.Len()-1-x.received] = true
	}
	q := *p
	q.way = w
	if reason := x.floodOut(c, &q); reason != drop.None {
		c.Drop(reason)
	}
}

// floodOut sends f to the one place that p.way names.
func (x *walk) floodOut(f *packet.Frame, p *passage) drop.Reason {
	if uint32(packet.WireLen(f)) > x.mtu(&p.way) {
		return drop.TooBig
	}
	if p.way.peer != NoPeer {
		return x.encap(f, p)
	}
	return x.leave(f, p.way.port, p.way.segment)
}

// learn keeps behind which peer a MAC is that no endpoint is bound to, and the
// group that it speaks for. It is called when a frame has been believed: of ARP and ND, when what it claims may
// be claimed; of any other, when the policy allows it.
func (x *walk) learn(f *packet.Frame, p *passage) {
	if !p.stranger || p.mute || x.rec != nil {
		return
	}
	x.State.FDB.Learn(p.segment, f.Headers.Src, fdb.AtPeer(p.peer, p.group), x.now)
}

// learned finds a MAC that was learned.
func (x *walk) learned(segment uint16, mac packet.MAC) (port packet.PortID, peer uint16, found bool) {
	d, found := x.State.FDB.Lookup(segment, mac, x.now)
	if !found {
		return packet.NoPort, NoPeer, false
	}
	if d.Peer != NoPeer {
		return packet.NoPort, d.Peer, true
	}
	return d.Port, NoPeer, true
}
