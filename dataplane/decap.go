package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/vxlan"
)

// NoPeer is the number of no peer: the frame is from a port of this host, or
// goes to one.
const NoPeer = 0xffff

// decap takes a frame of the underlay out of its tunnel, and finds the segment
// it belongs to and the peer that sent it. It does so once: a tunnel inside
// the tunnel is a workload's own affair, and is judged as UDP.
//
// What else may come by an uplink is address resolution for our own VTEP, and
// errors about what it sent: they are in no segment, and left to underlay. The rest is dropped: where the host shares the
// uplink, the port's own filter has left the host's traffic to the host.
//
// left is what the sender left to others, which may be about the inner packet;
// what Parse found out by itself is about the outer one.
func (x *walk) decap(f *packet.Frame, p *passage, left packet.Offload) drop.Reason {
	if x.s.Tunnels == nil {
		return drop.UplinkOther
	}
	if left.GSO != packet.GSONone && (left.Checksum != packet.ChecksumPartial || left.CsumStart <= f.Headers.L4) {
		return drop.BadOffload // an uplink brings superframes in a tunnel only
	}
	if left.Checksum == packet.ChecksumUnknown {
		left = f.Offload
	}
	switch f.Headers.Kind {
	case packet.KindFragment:
		return drop.Fragment // no VTEP may make one (RFC 7348 4.3)
	case packet.KindARP, packet.KindND:
		p.segment = NoSegment
		return drop.None
	}
	if f.Headers.ICMPError {
		p.segment = NoSegment
		return drop.None
	}
	inner, reason := x.s.Tunnels.Decap(f)
	if reason != drop.None {
		return reason
	}
	if reason := uncover(f, &inner, left); reason != drop.None {
		return reason
	}
	if inner.Forged {
		return drop.ForgedGroup
	}
	p.segment, p.peer, p.group, p.mute = inner.Segment, inner.Peer, inner.Group, inner.Mute
	if x.rec != nil {
		if inner.Group != 0 {
			x.rec.note("decap", "peer %s says that the sender is of group %d", x.s.Names.peer(inner.Peer), inner.Group)
		}
		x.rec.note("decap", "VNI %d from peer %s: %s", inner.VNI, x.s.Names.peer(inner.Peer), packet.Describe(f))
	}
	return drop.None
}

// uncover takes the tunnel's headers off and parses what was in it.
//
// The host that made the tunnel may have left a checksum to a device that is
// not there: the outer one, or that of the inner packet, and then the outer one
// already counts on the inner one being finished. A driver that is told so
// says it in left; a veth does not say, and Parse finds it out.
func uncover(f *packet.Frame, inner *vxlan.Inner, left packet.Offload) drop.Reason {
	f.Offload = packet.Offload{} // the outer packet's, unless it is said to be the inner one's
	outerRight := left.Checksum == packet.ChecksumGood
	if left.Checksum == packet.ChecksumPartial {
		if outerRight = left.CsumStart == f.Headers.L4; !outerRight {
			f.Offload = left // the inner packet's, and Parse holds it against it
		}
	}
	if !f.Pull(uint32(inner.Pull)) {
		return drop.BadOffload
	}
	f.End = f.Start + inner.Length // what lies behind the outer packet is not the inner one's
	if reason := packet.Parse(f); reason != drop.None {
		return reason
	}
	if !outerRight && !inner.ChecksumRight(f) {
		return drop.BadChecksum
	}
	return vxlan.DecapECN(f, inner.TOS)
}

// fitSuperframe makes the pieces of a superframe of TCP that came in a tunnel no
// larger than the segment takes: an uplink may not know what its sender would have
// cut it into (package port/udp), and any size is as good to TCP.
func fitSuperframe(f *packet.Frame, seg *Segment) {
	if g := f.Offload.GSO; g != packet.GSOTCP4 && g != packet.GSOTCP6 {
		return
	}
	headers := uint32(f.Headers.Payload) - uint32(f.Headers.L3)
	if seg.MTU > headers {
		f.Offload.Size = uint16(min(uint32(f.Offload.Size), seg.MTU-headers))
	}
}
