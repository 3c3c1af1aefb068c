package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// Parse reads the headers of a frame into f.Headers, once. It is total: any
// bytes give either None, and then every offset in Headers lies in the frame
// and every length that the headers announce has been checked, or a reason.
// Doubt is a reason. It reads nothing behind the IP packet: padding has no
// effect. It allocates nothing.
func Parse(f *Frame) drop.Reason {
	h := &f.Headers
	*h = Headers{}
	b := f.Bytes()
	if reason := parseEthernet(b, h); reason != drop.None {
		return reason
	}
	switch h.EtherType {
	case EtherTypeIPv4:
		return parseIPv4(f, b, h)
	case EtherTypeIPv6:
		return parseIPv6(f, b, h)
	case EtherTypeARP:
		return parseARP(b, h)
	}
	return drop.EtherType
}

// parseTransport reads the header behind IP. h.L4 and h.PacketEnd are set.
func parseTransport(f *Frame, b []byte, h *Headers, proto uint8) drop.Reason {
	h.Key.Proto = proto
	p := b[h.L4:h.PacketEnd:h.PacketEnd]
	var reason drop.Reason
	switch proto {
	case ProtoTCP:
		reason = parseTCP(p, h)
	case ProtoUDP:
		reason = parseUDP(f, p, h)
	case ProtoSCTP:
		reason = parseSCTP(p, h)
	case ProtoICMP:
		if h.V6 {
			return drop.BadTransport
		}
		reason = parseICMP(b, p, h)
	case ProtoICMPv6:
		if !h.V6 {
			return drop.BadTransport
		}
		reason = parseICMPv6(b, p, h)
	default:
		h.Payload = h.L4
	}
	if reason != drop.None {
		return reason
	}
	return checkOffload(f, h)
}

// checkOffload holds what the sender asks others to do against the headers: a
// checksum to finish must be the transport's own, and a superframe must be
// what it says it is. What contradicts itself is dropped before anybody acts
// on it.
func checkOffload(f *Frame, h *Headers) drop.Reason {
	o := &f.Offload
	if o.Checksum == ChecksumPartial {
		want, known := checksumOffset(h.Key.Proto)
		if !known || o.CsumStart != h.L4 || o.CsumOffset != want || uint32(h.L4+want)+2 > h.PacketEnd {
			return drop.BadOffload
		}
	}
	var proto uint8
	switch o.GSO {
	case GSONone:
		return drop.None
	case GSOTCP4, GSOTCP6:
		proto = ProtoTCP
	case GSOUDP4, GSOUDP6:
		proto = ProtoUDP
	default:
		return drop.BadOffload
	}
	v6 := o.GSO == GSOTCP6 || o.GSO == GSOUDP6
	if h.Key.Proto != proto || h.V6 != v6 || o.Size == 0 || h.Kind != KindIP {
		return drop.BadOffload
	}
	return drop.None
}

// checksumOffset is where a transport's checksum is in its header.
func checksumOffset(proto uint8) (uint16, bool) {
	switch proto {
	case ProtoTCP:
		return 16, true
	case ProtoUDP:
		return 6, true
	case ProtoICMPv6:
		return 2, true
	}
	return 0, false
}

// VerifyChecksum tells whether the transport checksum of a parsed frame is
// right, by reading it all; a frame whose checksum is partial, or vouched for,
// is right, and so is UDP over IPv4 without one. Protocols whose checksum is
// not known are left to the receiver.
func VerifyChecksum(f *Frame) bool {
	h := &f.Headers
	switch f.Offload.Checksum {
	case ChecksumGood, ChecksumPartial:
		return true
	case ChecksumBad:
		return false
	}
	b := f.Bytes()
	p := b[h.L4:h.PacketEnd]
	sum := uint64(0)
	switch h.Key.Proto {
	case ProtoICMP:
	case ProtoUDP:
		if binary.BigEndian.Uint16(p[6:]) == 0 {
			return !h.V6
		}
		sum = PseudoSum(h, uint32(len(p)))
	case ProtoTCP, ProtoICMPv6:
		sum = PseudoSum(h, uint32(len(p)))
	default:
		return true
	}
	return checksum.Fold(checksum.Sum(p, sum)) == 0xffff
}

// PseudoSum returns the sum of the pseudo-header of a parsed packet, with a
// transport length of n bytes.
func PseudoSum(h *Headers, n uint32) uint64 {
	if h.V6 {
		return checksum.Pseudo(h.Key.Src[:], h.Key.Dst[:], h.Key.Proto, n)
	}
	return checksum.Pseudo(h.Key.Src[12:], h.Key.Dst[12:], h.Key.Proto, n)
}
