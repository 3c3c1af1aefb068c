package fuzz

import (
	"net/netip"
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// run runs the batch of n frames and checks all that must hold of it.
func (m *machine) run(n int) {
	in, sent := m.received(), m.sentBytes(n)
	dataplane.Run(m.worker, m.snapshot, m.now, &m.batch)
	m.shown(sent)
	for i := range m.batch.Len() {
		f := m.batch.Frame(i)
		if f.Copy != (i >= n) {
			m.Fatalf("frame %d of %d: copy %v", i, n, f.Copy)
		}
		m.endsOnce(f)
		m.outcomes = append(m.outcomes, outcome(f))
		if f.Reason == drop.None && !f.Consumed {
			m.mayLeave(f)
		}
	}
	for p := range m.worker.Counters.Ports[:ports] {
		if c := &m.worker.Counters.Ports[p]; !c.Balanced() {
			m.Fatalf("the accounts of port %d do not balance: %+v", p, *c)
		}
	}
	if got := m.received() - in; got != uint64(n) {
		m.Fatalf("%d frames sent, %d booked", n, got)
	}
}

func (m *machine) received() (in uint64) {
	for p := range m.worker.Counters.Ports[:ports] {
		in += m.worker.Counters.Ports[p].In
	}
	return in
}

// endsOnce: dropped, taken in, or sent by a port that there is.
func (m *machine) endsOnce(f *packet.Frame) {
	ends := 0
	if f.Reason != drop.None {
		ends++
		m.dropped++
	}
	if f.Consumed {
		ends++
		m.taken++
	}
	if f.Egress != packet.NoPort {
		ends++
		if int(f.Egress) >= ports || m.snapshot.Ports[f.Egress].Role == dataplane.RoleNone {
			m.Fatalf("sent by port %d, which there is not", f.Egress)
		}
	}
	if ends != 1 {
		m.Fatalf("a frame ended %d times: %s", ends, outcome(f))
	}
}

// mayLeave holds what leaves by a port to what may.
func (m *machine) mayLeave(f *packet.Frame) {
	m.sent++
	if f.Copy {
		m.copies++
	}
	if f.Outer != 0 {
		m.tunnels++
		if f.Egress != uplink {
			m.Fatalf("a tunnel leaves by port %d", f.Egress)
		}
	}
	out := packet.NewFrame(f.Bytes()[f.Outer:], f.Ingress)
	out.Offload = f.Offload
	out.Offload.CsumStart -= f.Outer
	if reason := packet.Parse(out); reason != drop.None {
		m.Fatalf("what leaves does not parse: %s: %x", reason, out.Bytes())
	}
	switch {
	case f.Egress == uplink && f.Outer == 0:
		m.ourOwn(out)
	case out.Headers.Kind == packet.KindARP, out.Headers.Kind == packet.KindND:
		m.resolution(f, out)
	case out.Headers.Kind == packet.KindFragment:
		m.part(&out.Headers)
		m.allowed(f, &out.Headers)
	case f.Copy && m.fromGateway(&out.Headers):
	default:
		m.allowed(f, &out.Headers)
	}
}

// ourOwn: without a tunnel only our VTEP speaks on the underlay, in ARP and ND.
func (m *machine) ourOwn(out *packet.Frame) {
	if h := &out.Headers; h.Kind == packet.KindIP || h.Kind == packet.KindFragment || h.Src != uplinkMAC {
		m.Fatalf("on the underlay, in the clear: %s", packet.Describe(out))
	}
}

// resolution: ARP and ND is an answer to who asked, or in the segment that
// floods.
func (m *machine) resolution(f, out *packet.Frame) {
	if f.Copy && (f.Egress == f.Ingress || f.Outer != 0) {
		return
	}
	if s := m.segmentOf(f); s != loud {
		m.Fatalf("address resolution passed on in segment %d: %s", s, packet.Describe(out))
	}
}

// segmentOf is the segment of the workload port that a frame has to do with.
func (m *machine) segmentOf(f *packet.Frame) uint16 {
	if f.Egress != uplink {
		return m.snapshot.Ports[f.Egress].Segment
	}
	return m.snapshot.Ports[f.Ingress].Segment
}

// fromGateway tells of what the gateway itself says: echo replies and errors.
func (m *machine) fromGateway(h *packet.Headers) bool {
	for i := range m.snapshot.Segments {
		for _, g := range m.snapshot.Segments[i].Gateways {
			if g.Addr == h.Key.Src {
				return h.Src == gatewayMAC && (h.ICMPError || h.Key.Proto == packet.ProtoICMP || h.Key.Proto == packet.ProtoICMPv6)
			}
		}
	}
	return false
}

// whole is a packet that leaves in parts.
type whole struct {
	src, dst packet.Addr
	id       uint32
	proto    uint8
}

// part gives a later fragment the ports and the type of the first, which must have left
// before it.
func (m *machine) part(h *packet.Headers) {
	w := whole{h.Key.Src, h.Key.Dst, h.Fragment.ID, h.Fragment.Proto}
	if h.Fragment.First() {
		m.firsts[w] = *h
		return
	}
	first, left := m.firsts[w]
	if !left {
		m.Fatalf("a later fragment leaves before the first: %+v", h)
	}
	h.Key, h.ICMPType, h.ICMPCode = first.Key, first.ICMPType, first.ICMPCode
	m.parts++
}

// allowed: the policy in force allows the connection that the packet is of, it
// goes to whom it is for, and its source is who the frame came from.
func (m *machine) allowed(f *packet.Frame, h *packet.Headers) {
	key, kind := h.Key, h.ICMPType
	if h.ICMPError {
		key, kind = h.Inner, 0xff
	}
	if !m.allows(key, kind, h.ICMPCode, false) && !m.allows(key.Reverse(), kind, h.ICMPCode, true) {
		m.Fatalf("by port %d leaves what no rule allows: %+v", f.Egress, h)
	}
	if f.Egress == f.Ingress {
		m.Fatalf("port %d gets back what came in by it: %+v", f.Egress, h)
	}
	if f.Egress != uplink && m.snapshot.Ports[f.Egress].Segment != loud && !m.lives(f.Egress, h.Key.Dst) && !(f.Egress == portC && behindC.Contains(h.Key.Dst.Netip())) {
		m.Fatalf("port %d is given what is for %s", f.Egress, h.Key.Dst)
	}
	if f.Ingress == uplink {
		return
	}
	if !m.lives(f.Ingress, h.Key.Src) {
		m.Fatalf("port %d speaks as %s", f.Ingress, h.Key.Src)
	}
}

// behindC is what a static route leads to by way of C.
var behindC = netip.MustParsePrefix("198.51.100.0/24")

// lives tells whether an address is that of an endpoint on a port.
func (m *machine) lives(port packet.PortID, a packet.Addr) bool {
	return slices.ContainsFunc(hosts(m.change), func(one host) bool {
		return one.port == port && slices.Contains(one.addrs, a)
	})
}

// allows asks the oracle. Of a reply the request is asked about; of an ICMP
// message that an error quotes the type is not known, and either will do.
func (m *machine) allows(key packet.Key, kind, code uint8, reply bool) bool {
	if key.Proto != packet.ProtoICMP && key.Proto != packet.ProtoICMPv6 {
		return m.change.allows(&key, key.DstPort)
	}
	key.SrcPort = 0
	if kind == 0xff {
		return m.change.allows(&key, packet.ICMPEchoRequest<<8) || m.change.allows(&key, 13<<8) || m.change.allows(&key, packet.ICMPv6EchoRequest<<8)
	}
	requests := map[uint8]uint8{packet.ICMPEchoReply: packet.ICMPEchoRequest, 14: 13, packet.ICMPv6EchoReply: packet.ICMPv6EchoRequest}
	if request, known := requests[kind]; known && reply {
		kind = request
	}
	return m.change.allows(&key, uint16(kind)<<8|uint16(code))
}
