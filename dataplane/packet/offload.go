package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// Where each transport has its checksum, from its header's beginning.
const (
	tcpChecksum  = 16
	udpChecksum  = 6
	icmpChecksum = 2
)

// Most segments that a superframe may be cut into. A sender could otherwise
// ask for 64 Ki frames of a byte each, with one frame. Linux allows as many
// datagrams (UDP_MAX_SEGMENTS); for TCP it is what 64 KiB gives with a maximum
// segment size of 64 bytes, below what any stack takes.
const (
	maxDatagrams = 128
	maxSegments  = 1024
)

// isTCP tells whether the superframe is of TCP.
func (g GSO) isTCP() bool { return g == GSOTCP4 || g == GSOTCP6 }

// isV6 tells whether the superframe is of IPv6.
func (g GSO) isV6() bool { return g == GSOTCP6 || g == GSOUDP6 }

// proto returns the protocol of a superframe; found is false if the value is
// none of the constants.
func (g GSO) proto() (proto uint8, found bool) {
	switch g {
	case GSOTCP4, GSOTCP6:
		return ProtoTCP, true
	case GSOUDP4, GSOUDP6:
		return ProtoUDP, true
	}
	return 0, false
}

// checkOffload holds what the sender asks others to do against the headers: a
// checksum to finish must be the transport's own, and a superframe must be
// what it says it is. What contradicts itself is dropped before anybody acts
// on it. The header length is a hint, not checked by who gives it: here it is
// made right.
//
// A partial SCTP checksum is refused: it is a CRC32c (RFC 9260 6.8), which no
// receiver would know from a sum once the frame has left the host.
func checkOffload(f *Frame, h *Headers) drop.Reason {
	o := &f.Offload
	if o.Checksum == ChecksumPartial {
		want, known := checksumOffset(h.Key.Proto)
		if !known || o.CsumStart != h.L4 || o.CsumOffset != want {
			return drop.BadOffload
		}
		o.HeaderLen = h.Payload
	}
	if o.GSO == GSONone {
		return drop.None
	}
	return checkSuperframe(o, h)
}

// checkSuperframe is checkOffload for superframes. Their checksum is always
// partial (virtio 1.2 section 5.1.6.2). SYN and RST are never one of many.
func checkSuperframe(o *Offload, h *Headers) drop.Reason {
	proto, known := o.GSO.proto()
	if !known || h.Key.Proto != proto || h.V6 != o.GSO.isV6() || o.Size == 0 || o.Checksum != ChecksumPartial {
		return drop.BadOffload
	}
	most := uint32(maxDatagrams)
	if proto == ProtoTCP {
		most = maxSegments
		if h.TCPFlags&(TCPSyn|TCPRst) != 0 {
			return drop.BadOffload
		}
	}
	payload := h.PacketEnd - uint32(h.Payload)
	if payload == 0 || payload > most*uint32(o.Size) {
		return drop.BadOffload
	}
	return drop.None
}

// checksumOffset is where a transport's checksum is in its header.
func checksumOffset(proto uint8) (uint16, bool) {
	switch proto {
	case ProtoTCP:
		return tcpChecksum, true
	case ProtoUDP:
		return udpChecksum, true
	case ProtoICMPv6:
		return icmpChecksum, true
	}
	return 0, false
}

// VerifyChecksum tells whether the transport checksum of a parsed frame of
// KindIP or KindND is right, by reading it all. A frame whose checksum is
// partial or vouched for is right, and so is UDP over IPv4 without one, and a
// fragment: only who puts the packet together can tell.
// Protocols with another checksum, SCTP, or none are left to the receiver.
func VerifyChecksum(f *Frame) bool {
	c := f.Offload.Checksum // small enough to stand where it is called
	return c == ChecksumGood || c == ChecksumPartial || c == ChecksumUnknown && sumIsRight(f)
}

// sumIsRight is VerifyChecksum of a frame of which nothing is known.
func sumIsRight(f *Frame) bool {
	h := &f.Headers
	if h.Kind == KindFragment {
		return true
	}
	p := f.Bytes()[h.L4:h.PacketEnd]
	switch h.Key.Proto {
	case ProtoICMP:
		return checksum.Verify(p, 0)
	case ProtoUDP:
		if binary.BigEndian.Uint16(p[udpChecksum:]) == 0 {
			return !h.V6 // RFC 768; not for IPv6 (RFC 8200 8.1)
		}
	case ProtoTCP, ProtoICMPv6:
	default:
		return true
	}
	return checksum.Verify(p, PseudoSum(h, uint32(len(p))))
}

// PseudoSum returns the sum of the pseudo-header of a parsed packet, with a
// transport length of n bytes.
func PseudoSum(h *Headers, n uint32) uint64 {
	if h.V6 {
		return checksum.Pseudo(h.Key.Src[:], h.Key.Dst[:], h.Key.Proto, n)
	}
	return checksum.Pseudo(h.Key.Src[12:], h.Key.Dst[12:], h.Key.Proto, n)
}

// FinishChecksum finishes the partial transport checksum of a parsed frame, in
// a tunnel or not: whoever sends it on wants it whole. It does nothing to a
// superframe, which is cut instead, and to a checksum that is not partial.
func FinishChecksum(f *Frame) {
	o := &f.Offload
	if o.Checksum != ChecksumPartial || o.GSO != GSONone {
		return
	}
	end := uint32(f.Outer) + f.Headers.PacketEnd
	checksum.Finish(f.Bytes()[o.CsumStart:end], int(o.CsumOffset))
	o.Checksum = ChecksumGood
}

// PartialChecksum finds out whether the TCP or UDP checksum of a parsed frame
// of which nothing is known is unfinished: whether it equals the folded sum of
// the pseudo-header. On a veth that is how a packet comes whose sender left the
// rest to a device that is not there. If it is, the frame is marked so. A whole
// checksum that looks so by chance comes out the same when finished.
func PartialChecksum(f *Frame) bool {
	h, o := &f.Headers, &f.Offload
	if o.Checksum != ChecksumUnknown || h.Kind != KindIP || h.Key.Proto != ProtoTCP && h.Key.Proto != ProtoUDP {
		return false
	}
	at, _ := checksumOffset(h.Key.Proto)
	field := binary.BigEndian.Uint16(f.Bytes()[h.L4+at:])
	if !checksum.IsPartial(field, PseudoSum(h, h.PacketEnd-uint32(h.L4))) {
		return false
	}
	o.Checksum, o.CsumStart, o.CsumOffset, o.HeaderLen = ChecksumPartial, h.L4, at, h.Payload
	return true
}
