package dataplane

import (
	"slices"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
)

// Of whom a frame is, for a mirror: of the endpoint that is bound to its port and MAC,
// whatever address the frame claims, so that what somebody forges is shown as his own;
// and of who the policy takes its address for, if the walk believed it. For whom:
// of its address, behind any translation; what has none that counts, as ARP, of its MAC.

// ends is who is at both ends of a frame, found when the first mirror asks.
type ends struct {
	known    bool
	src, dst end
}

// end is one: its identity, and its marks.
type end struct {
	id    identity.ID
	marks uint32
}

// selects tells whether a mirror wants a frame for who is at its ends.
func (x *walk) selects(m *Mirror, f *packet.Frame, p *passage, n *note, e *ends) bool {
	if m.Of == nil && m.For == nil {
		return true
	}
	if !e.known {
		e.known = true
		if p.seg != nil {
			e.src, e.dst = x.sender(f, p, n), x.receiver(f, p, n)
		}
	}
	return x.are(m, &e.src, &e.dst) || m.Replies && x.are(m, &e.dst, &e.src)
}

func (x *walk) are(m *Mirror, from, to *end) bool { return x.is(m.Of, from) && x.is(m.For, to) }

// is tells whether an end is of those; nil are all.
func (x *walk) is(who *Who, e *end) bool {
	if who == nil || who.Marks&e.marks != 0 {
		return true
	}
	if e.id == identity.None || len(who.Sets) == 0 {
		return false
	}
	sets := x.s.Identity.Sets(e.id)
	for _, want := range who.Sets {
		if _, found := slices.BinarySearch(sets, want); found {
			return true
		}
	}
	return false
}

// sender is who a frame is of.
func (x *walk) sender(f *packet.Frame, p *passage, n *note) end {
	e := end{id: p.src}
	_, mac := n.macs()
	ep, found := x.s.Identity.At(f.Ingress, p.segment, mac)
	if p.peer != NoPeer {
		ep, found = x.s.Identity.ByMAC(p.segment, mac)
		found = found && x.s.Identity.Endpoint(ep).Peer == p.peer
	}
	if found {
		e.marks = x.s.Identity.Endpoint(ep).Marks
	}
	if e.id != identity.None {
		if ep, _, found := x.s.Identity.ByAddr(p.seg.Zone, &n.src); found {
			e.marks |= x.s.Identity.Endpoint(ep).Marks
		}
	}
	return e
}

// receiver is who a frame is for.
func (x *walk) receiver(f *packet.Frame, p *passage, n *note) (e end) {
	if kind := f.Headers.Kind; kind == packet.KindIP || kind == packet.KindFragment {
		ep, id, found := x.s.Identity.ByAddr(p.seg.Zone, &f.Headers.Key.Dst)
		if !found {
			return end{id: x.destination(p.seg.Zone, &f.Headers.Key.Dst)}
		}
		return end{id, x.s.Identity.Endpoint(ep).Marks}
	}
	dst, _ := n.macs()
	if ep, found := x.s.Identity.ByMAC(p.segment, dst); found {
		e.marks = x.s.Identity.Endpoint(ep).Marks
	}
	return e
}

// macs are those of the frame as it came in, without its tunnel.
func (n *note) macs() (dst, src packet.MAC) {
	b := n.head[min(n.inner, headSaved-12):]
	return packet.MAC(b[:6]), packet.MAC(b[6:12])
}

// toCollector tells of what goes to a collector of our mirrors: on a host that is its
// own workload it would be mirrored anew, without end.
func (x *walk) toCollector(f *packet.Frame) bool {
	if f.Headers.Kind != packet.KindIP && f.Headers.Kind != packet.KindFragment || f.Headers.Key.Proto != protoGRE {
		return false
	}
	return slices.Contains(x.s.Collectors, f.Headers.Key.Dst)
}

// protoGRE is GRE's number (IANA).
const protoGRE = 47
