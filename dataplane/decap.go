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
// What else may come by an uplink is address resolution for our own VTEP,
// which is answered here. The rest is dropped: where the host shares the
// uplink, the port's own filter has left the host's traffic to the host.
func (x *walk) decap(f *packet.Frame, p *passage) drop.Reason {
	if x.s.Tunnels == nil {
		return drop.UplinkOther
	}
	switch f.Headers.Kind {
	case packet.KindARP:
		return x.underlayARP(f, p)
	case packet.KindND:
		return x.underlayND(f, p)
	}
	inner, reason := x.s.Tunnels.Decap(f)
	if reason != drop.None {
		return reason
	}
	outerTOS := f.TOS()
	if !f.Pull(uint32(inner.Pull)) {
		return drop.BadVXLAN
	}
	f.Offload = packet.Offload{Checksum: packet.ChecksumUnknown}
	if reason := packet.Parse(f); reason != drop.None {
		return reason
	}
	if reason := vxlan.DecapECN(f, outerTOS); reason != drop.None {
		return reason
	}
	p.segment, p.peer = inner.Segment, inner.Peer
	if x.rec != nil {
		x.rec.note("decap", "VNI %d from peer %s: %s", inner.VNI, x.s.Names.peer(inner.Peer), packet.Describe(f))
	}
	return drop.None
}
