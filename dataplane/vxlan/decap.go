package vxlan

import (
	"encoding/binary"
	"slices"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Inner is what a tunnel's headers say.
type Inner struct {
	Segment uint16
	Peer    uint16
	VNI     uint32
	Pull    int    // bytes of headers before the inner frame
	Length  uint32 // bytes of the inner frame, padding included
	TOS     uint8  // the outer packet's type of service
	Group   uint16 // that the sender is of, as the peer says; 0: it says nothing
	Forged  bool   // the peer may not speak for Group
	Mute    bool   // nothing is to be learned from the frame

	summed bool   // the outer UDP checksum is used
	pseudo uint64 // the sum of its pseudo-header
}

// Decap reads the tunnel headers of f, a parsed frame from an uplink, and
// changes nothing. The frame must be for our VTEP, its VNI must be here, and
// its source a peer of that VNI. Reserved bits are not looked at (RFC 7348 5),
// nor are those of the group where no group means anything.
// The outer checksum is left to ChecksumRight, once the inner frame is parsed.
func (t *Table) Decap(f *packet.Frame) (Inner, drop.Reason) {
	h := &f.Headers
	if h.VLANs != 0 || h.Key.Proto != packet.ProtoUDP || h.Key.DstPort != t.port || !slices.Contains(t.local, h.Key.Dst) {
		return Inner{}, drop.UplinkOther
	}
	if h.PacketEnd-uint32(h.Payload) < headerLen {
		return Inner{}, drop.BadVXLAN
	}
	b := f.Bytes()
	v := b[h.Payload:]
	if v[0]&flagVNI == 0 {
		return Inner{}, drop.BadVXLAN
	}
	vni := binary.BigEndian.Uint32(v[4:]) >> 8
	segment, known := t.segments[vni]
	if !known {
		return Inner{}, drop.UnknownVNI
	}
	peer, known := t.remotes[h.Key.Src]
	if !known || !t.member[uint32(segment)<<16|uint32(peer)] {
		return Inner{}, drop.UnknownPeer
	}
	in := Inner{Segment: segment, Peer: peer, VNI: vni, Pull: int(h.Payload) + headerLen, TOS: f.TOS()}
	if in.summed = b[h.L4+6]|b[h.L4+7] != 0; in.summed {
		in.pseudo = packet.PseudoSum(h, h.PacketEnd-uint32(h.L4))
	}
	in.Length = h.PacketEnd - uint32(in.Pull)
	if t.grouped && v[0]&flagGroup != 0 {
		in.Mute, in.Group = v[1]&flagMute != 0, binary.BigEndian.Uint16(v[2:])
		in.Forged = in.Group != 0 && !t.MaySpeak(peer, in.Group)
	}
	return in, drop.None
}

// ChecksumRight holds the outer UDP checksum against the packet, where there
// is one; zero is none, over IPv6 as well (RFC 7348 5, RFC 6935). f is the inner
// frame, pulled, cut to in.Length and parsed; if its own checksum is partial it is reckoned
// as finished, because that is what the sender did.
func (in *Inner) ChecksumRight(f *packet.Frame) bool {
	if !in.summed {
		return true
	}
	sum := checksum.Sum(f.Buf[f.Start-udpLen-headerLen:f.Start], in.pseudo)
	return checksum.Fold(sumInner(f, f.Bytes(), sum)) == 0xffff
}

// sumInner adds the inner frame f to a sum: the bytes of inner, or what they
// will be once a partial checksum among them is finished.
func sumInner(f *packet.Frame, inner []byte, sum uint64) uint64 {
	h := &f.Headers
	if f.Offload.Checksum != packet.ChecksumPartial {
		return checksum.Sum(inner, sum)
	}
	// A packet whose checksum is right sums, from its transport header on, to
	// the complement of its pseudo-header.
	sum = checksum.Sum(inner[:h.L4], sum) + uint64(^checksum.Fold(packet.PseudoSum(h, h.PacketEnd-uint32(h.L4))))
	rest := checksum.Fold(checksum.Sum(inner[h.PacketEnd:], 0)) // padding
	if h.PacketEnd&1 != 0 {
		rest = rest<<8 | rest>>8
	}
	return sum + uint64(rest)
}

// DecapECN carries the underlay's congestion mark into the inner packet, which
// has been parsed (RFC 6040 4.2): CE is handed on where the inner packet can
// bear it, and where it cannot the packet is dropped; ECT(1) replaces ECT(0).
func DecapECN(f *packet.Frame, outerTOS uint8) drop.Reason {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	if f.Headers.Kind == packet.KindARP {
		return drop.None
	}
	inner := f.TOS()
	switch outer := outerTOS & 3; {
	case outer == ce && inner&3 == notECT:
		return drop.Congested
	case outer == ce && inner&3 != ce, outer == ect1 && inner&3 == ect0:
		packet.SetTOS(f, inner&^3|outer)
	}
	return drop.None
}
