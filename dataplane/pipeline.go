package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// Time is a monotonic clock in nanoseconds, read once a batch by the caller.
type Time = int64

// expireBudget is how many sessions one Run looks at to expire them: enough to
// turn the whole wheel under load, too few to be felt.
const expireBudget = 32

// Run carries the frames of a batch through the switch. Afterwards each frame
// has ended once, and the batch may hold copies behind the frames received.
// It is called by the worker that owns w, with the snapshot in force and the
// time of this batch.
func Run(w *Worker, s *Snapshot, now Time, b *packet.Batch) {
	x := walk{Worker: w, s: s, now: now, batch: b, received: b.Len()}
	w.recent.begin(s)
	for i := 0; i < x.received; i += stride {
		x.stretch(i, min(i+stride, x.received))
	}
	if len(s.Snooped) > 0 {
		x.ask()
	}
	if len(s.Probed) > 0 {
		x.probe()
	}
	for i := x.received; i < b.Len(); i++ {
		w.Counters.end(b.Frame(i)) // a copy, which may have been made for any frame
	}
	w.State.Sessions.expire(w, now)
	w.State.NAT.Expire(now, expireBudget)
}

// Explain carries one frame through the switch as it is now and writes down
// each step. Nothing but the frame changes. It is called like Run.
func Explain(w *Worker, s *Snapshot, now Time, b *packet.Batch) *Recorder {
	x := walk{Worker: w, s: s, now: now, batch: b, rec: &Recorder{}}
	f, p := b.Frame(0), &w.ahead.passages[0]
	n := &w.mirroring.notes[0]
	n.keep(f)
	x.read(f, p)
	n.read(f, p)
	x.frame(f, p)
	x.noteEnd(f)
	x.noteMirrors(f, p, n)
	return x.rec
}

// walk is what one Run has in hand.
type walk struct {
	*Worker
	s     *Snapshot
	now   Time
	batch *packet.Batch
	// received is how many frames the batch had before the first copy.
	received int
	nat      translation // of the frame that is being walked
	rec      *Recorder   // nil but in Explain
}

// passage is what the walk has found out about one frame so far.
type passage struct {
	port    *Port    // the way in
	segment uint16   // where the frame is; NoSegment on the underlay
	seg     *Segment // its entry; nil: none, it is the underlay's ARP or ND
	peer    uint16   // the peer the frame came from; NoPeer if from a port here
	group   uint16   // the group that its sender is of, says the peer; 0: none
	grouped bool     // and its sender is a stranger, who is that group's by its word alone
	mute    bool     // the peer says that nothing is to be learned from it

	src, dst identity.ID // who sent it, whom it is for
	bound    bool        // its sender has it from the port it came in by
	settled  bool        // the snapshot alone says where it is to go
	stranger bool        // its source MAC is nobody's, and is to be learned
	counted  bool        // it was held, and the port's bounds have seen it before
	way      way         // where it is to go
	hearing  audience    // of a group message: who is told of it

	hash uint64 // of the flow; of the one that an ICMP error is about
	row  uint32 // of the session table: where its session was seen, perhaps
}

// frame is the walk: one frame, from where read has left it to its end.
func (x *walk) frame(f *packet.Frame, p *passage) {
	reason := f.Reason
	switch {
	case reason != drop.None:
		return
	case p.seg == nil:
		if f.Consumed {
			return // a probe of our own
		}
		reason = x.underlay(f, p)
	case f.Headers.Kind == packet.KindARP:
		reason = x.arp(f, p)
	case f.Headers.Kind == packet.KindND:
		reason = x.nd(f, p)
	default:
		reason = x.ip(f, p)
	}
	if reason != drop.None {
		f.Drop(reason)
	}
}

// enter parses the frame, takes it out of its tunnel if it came in one, and
// finds the segment it is in. It asks the snapshot alone, and how much its port
// has brought in, never what packets change by what becomes of them: the frames
// before it may not have been judged yet.
func (x *walk) enter(f *packet.Frame, p *passage) drop.Reason {
	port := x.s.port(f.Ingress)
	if port == nil {
		return drop.UnknownPort
	}
	p.port, p.peer, p.segment = port, NoPeer, port.Segment
	var left packet.Offload
	if port.Role == RoleUplink {
		left, f.Offload = f.Offload, packet.Offload{}
	}
	if reason := packet.Parse(f); reason != drop.None {
		if reason == drop.EtherType && port.L2 != nil && port.L2.LoopRetry != 0 {
			return x.comesBack(f)
		}
		return reason
	}
	if x.rec != nil {
		x.rec.note("parse", "%s", packet.Describe(f))
	}
	if port.L2 != nil {
		if reason := x.admit(f, p); reason != drop.None {
			return reason
		}
	}
	if port.Role == RoleUplink {
		if reason := x.decap(f, p, left); reason != drop.None || p.segment == NoSegment {
			return reason
		}
	}
	segment := int(p.segment)
	if segment >= len(x.s.Segments) {
		return drop.UnknownPort
	}
	p.seg = &x.s.Segments[segment]
	if p.peer != NoPeer {
		fitSuperframe(f, p.seg)
	}
	if f.Headers.VLANs != 0 {
		return drop.VLANTag
	}
	return drop.None
}

// ip is the walk of an IP packet, or of a part of one: who sent it and whom it is
// for, where that is, whether it may, and off it goes.
func (x *walk) ip(f *packet.Frame, p *passage) drop.Reason {
	if f.Headers.Key.Proto == packet.ProtoUDP && asksDHCP(f, p) {
		return x.dhcp(f, p)
	}
	if x.s.NAT != nil {
		if reason := x.arrive(f, p); reason != drop.None {
			return reason
		}
	}
	if reason := x.locate(f, p); reason != drop.None {
		return reason
	}
	switch p.way.kind {
	case wayGateway:
		return x.toGateway(f, p)
	case wayMembership:
		return x.membership(f, p)
	}
	if f.Headers.Kind == packet.KindFragment {
		return x.fragment(f, p) // what it is of, another may say
	}
	return x.pass(f, p)
}

// locate finds who sent a packet and where it is to go.
func (x *walk) locate(f *packet.Frame, p *passage) drop.Reason {
	if x.met(f, p) {
		return poses(f, p)
	}
	if reason := x.identify(f, p); reason != drop.None {
		return reason
	}
	if p.seg.Snooping && packet.IsMembershipPart(f) {
		return drop.BadMembership // who listens is read from whole messages: a query in parts would be nobody's
	}
	if reason := x.find(f, p); reason != drop.None {
		return reason
	}
	x.remember(f, p)
	return drop.None
}

// pass judges a packet, and sends it its way.
func (x *walk) pass(f *packet.Frame, p *passage) drop.Reason {
	if reason := x.judge(f, p); reason != drop.None {
		return reason
	}
	if p.stranger {
		x.learn(f, p)
	}
	return x.forward(f, p)
}

// noteEnd writes down how the frame ended.
func (x *walk) noteEnd(f *packet.Frame) {
	switch {
	case f.Reason != drop.None:
		x.rec.note("end", "drop %s: %s", f.Reason, f.Reason.Sentence())
	case f.Consumed:
		x.rec.note("end", "answered or taken in by the switch")
	default:
		x.rec.note("end", "sent by port %s", x.s.Names.port(f.Egress))
	}
}
