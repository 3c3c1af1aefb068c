package dataplane

import (
	"encoding/binary"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// Frames come in trains, and conversations in numbers: from one end to another there
// are many frames and few pairs of ends. Who sends and where it is to go depends on
// the pair alone, where the sender is bound to its port and the receiver is an
// endpoint; so it is asked once, and kept.
//
// What is kept is of one snapshot: with another all of it is forgotten. It is what
// identify and find have answered to those very addresses at that very place, and
// depends on nothing else: not on what was learned, nor on an outside route, of which
// the flow chooses one of several, nor on what a peer says. So a hit and a miss give
// one verdict, and who makes pairs meet in a slot makes them cost what they cost
// without it. It is no cache of verdicts: each frame is judged after it.

// pairs is how many are kept: those of a busy host's batches, in 5 KiB.
const pairs = 64

// recent are the pairs of ends that a worker has met of late.
type recent struct {
	of    *Snapshot
	pairs [pairs]pair
}

// pair is one, and what was found out about it.
type pair struct {
	from, to packet.Addr
	src, dst packet.MAC
	port     packet.PortID
	segment  uint16
	used     bool
	id       identity.ID // of who sends
	way      way
}

// begin forgets what was of another snapshot.
func (r *recent) begin(s *Snapshot) {
	if r.of != s {
		*r = recent{of: s}
	}
}

// slot is where a pair is kept.
func (r *recent) slot(h *packet.Headers) *pair {
	a, b := binary.LittleEndian.Uint32(h.Key.Src[12:]), binary.LittleEndian.Uint32(h.Key.Dst[12:])
	return &r.pairs[(a*0x9e3779b1+b*0x85ebca77)>>26%pairs]
}

// met takes who sent a packet and where it is to go from what was found out about
// one before. A part of a packet finds out by itself.
func (x *walk) met(f *packet.Frame, p *passage) bool {
	h := &f.Headers
	e := x.recent.slot(h)
	if !e.used || h.Kind != packet.KindIP || e.from != h.Key.Src || e.to != h.Key.Dst || e.src != h.Src || e.dst != h.Dst ||
		e.port != f.Ingress || e.segment != p.segment || p.peer != NoPeer || x.rec != nil {
		return false
	}
	p.src = e.id // not both at once: that goes by way of the stack, and waits for it
	p.way = e.way
	return true
}

// remember keeps what has been found out about a packet, if the next one of the pair
// will find the same.
func (x *walk) remember(f *packet.Frame, p *passage) {
	if !p.bound || !p.settled || x.rec != nil {
		return
	}
	if p.way.peer == NoPeer {
		p.way.most = x.mtuOf(&p.way)
	}
	h := &f.Headers
	*x.recent.slot(h) = pair{h.Key.Src, h.Key.Dst, h.Src, h.Dst, f.Ingress, p.segment, true, p.src, p.way}
}
