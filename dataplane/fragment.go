package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fragment"
	"bulkhead/dataplane/packet"
)

// fragment judges a part of an IP packet. Who sent it and where it is to go it says
// itself, and has been found; what it is of, only the first part of the packet says.
// So the first is judged as a packet is, and the others get its ports and are then
// judged likewise: an open session, or the policy, answers for each. One that
// comes before the first is held until that has passed (package fragment).
func (x *walk) fragment(f *packet.Frame, p *passage) drop.Reason {
	if x.rec != nil {
		return x.explainFragment(f, p)
	}
	part := x.partOf(f, p)
	whole, reason := x.State.Fragments.Place(&part, pieceOf(f), x.now)
	switch {
	case reason != drop.None:
		return reason
	case whole.State == fragment.Refused:
		return drop.FragmentRefused
	case f.Headers.Fragment.First():
		return x.firstFragment(f, p, whole)
	case whole.State == fragment.Waiting:
		if !x.State.Fragments.Hold(whole, f.Bytes()) {
			return drop.FragmentQuota
		}
		f.Consumed = true
		return drop.None
	}
	return x.laterFragment(f, p, &whole.Ports)
}

// partOf tells the packet that a fragment is of.
func (x *walk) partOf(f *packet.Frame, p *passage) fragment.Key {
	h := &f.Headers
	return fragment.Key{
		Src: h.Key.Src, Dst: h.Key.Dst, ID: h.Fragment.ID, Proto: h.Fragment.Proto,
		Segment: p.segment, Holder: uint16(x.bucketOf(f, p)),
	}
}

func pieceOf(f *packet.Frame) fragment.Piece {
	h := &f.Headers
	return fragment.Piece{Start: h.Fragment.Offset, End: uint16(h.FragmentEnd()), Last: !h.Fragment.More}
}

// firstFragment judges the first fragment, and with it its packet.
func (x *walk) firstFragment(f *packet.Frame, p *passage, whole fragment.Packet) drop.Reason {
	in := *p // it is about to go its way
	reason := x.passFragment(f, p)
	if reason != drop.None {
		x.State.Fragments.Refuse(whole)
		return reason
	}
	x.State.Fragments.Allow(whole, portsIn(&f.Headers))
	x.releaseHeld(f, &in, whole)
	return drop.None
}

// portsIn is what a first fragment says and the others do not.
func portsIn(h *packet.Headers) fragment.Ports {
	return fragment.Ports{
		SrcPort: h.Key.SrcPort, DstPort: h.Key.DstPort, Query: h.Key.Query, Proto: h.Key.Proto,
		ICMPType: h.ICMPType, ICMPCode: h.ICMPCode,
	}
}

// laterFragment judges a fragment by what the first one said.
func (x *walk) laterFragment(f *packet.Frame, p *passage, of *fragment.Ports) drop.Reason {
	h := &f.Headers
	h.Key.SrcPort, h.Key.DstPort, h.Key.Query, h.Key.Proto = of.SrcPort, of.DstPort, of.Query, of.Proto
	h.ICMPType, h.ICMPCode = of.ICMPType, of.ICMPCode
	return x.passFragment(f, p)
}

// passFragment is pass of a fragment that has its packet's ports.
func (x *walk) passFragment(f *packet.Frame, p *passage) drop.Reason {
	p.hash, x.nat = x.State.Sessions.hash(&f.Headers.Key), translation{}
	return x.pass(f, p)
}

// releaseHeld carries on with the fragments that waited for the first: as copies
// of the frames that brought them, which the switch had taken in. What there is
// no memory for is lost, and booked.
func (x *walk) releaseHeld(first *packet.Frame, in *passage, whole fragment.Packet) {
	for {
		c := x.copyOf(first, 0)
		if c == nil {
			if !x.State.Fragments.Lose(whole) {
				return
			}
			x.Counters.lostCopy(first)
			continue
		}
		n := x.State.Fragments.Take(whole, c.Buf[packet.Headroom:])
		if n == 0 {
			x.batch.Undo()
			return
		}
		c.Begin(c.Buf, packet.Headroom, uint32(packet.Headroom+n), first.Ingress)
		c.Copy = true
		if reason := x.release(c, in, first); reason != drop.None {
			c.Drop(reason)
		}
	}
}

// release carries on with one fragment that was held.
func (x *walk) release(c *packet.Frame, in *passage, first *packet.Frame) drop.Reason {
	if reason := packet.Parse(c); reason != drop.None {
		return reason
	}
	p := *in
	p.bound, p.settled, p.stranger, p.way, p.row = false, false, false, way{}, 0
	p.counted = true
	c.Headers.Key.Zone = p.seg.Zone
	if reason := x.locate(c, &p); reason != drop.None {
		return reason
	}
	ports := portsIn(&first.Headers)
	return x.laterFragment(c, &p, &ports)
}

// explainFragment says what would become of a fragment.
func (x *walk) explainFragment(f *packet.Frame, p *passage) drop.Reason {
	part := x.partOf(f, p)
	whole, reason := x.State.Fragments.Foretell(&part, pieceOf(f), x.now)
	switch {
	case reason != drop.None:
		return reason
	case whole.State == fragment.Refused:
		x.rec.note("known", "a fragment of a packet that was not let through")
		return drop.FragmentRefused
	case f.Headers.Fragment.First():
		return x.passFragment(f, p)
	case whole.State == fragment.Waiting:
		x.rec.note("known", "held until the first fragment of its packet has come")
		f.Consumed = true
		return drop.None
	}
	x.rec.note("known", "a fragment of a packet whose first one has passed")
	return x.laterFragment(f, p, &whole.Ports)
}
