package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// Fragment is a part's place in its packet (RFC 791 3.2, RFC 8200 4.5).
type Fragment struct {
	ID     uint32 // of the packet, with its addresses and, in IPv4, its protocol
	Offset uint16 // in bytes, from where the transport header began
	More   bool   // it is not the last
	Proto  uint8  // of IPv4, as all parts say it; 0 of IPv6
}

// First tells whether the part has the transport header.
func (p *Fragment) First() bool { return p.Offset == 0 }

// FragmentEnd returns where the part ends in its packet. KindFragment.
func (h *Headers) FragmentEnd() uint32 {
	return uint32(h.Fragment.Offset) + h.PacketEnd - uint32(h.L4)
}

// maxPacket bounds an IP packet put together, without its header, in bytes.
const maxPacket = 65535

// parseFragment reads a part of a packet. h.L4 and h.PacketEnd are set.
//
// The first must have the whole transport header (RFC 1858 3, RFC 7112 5), which
// is read as that of a packet; of the others there is nothing to read. What is
// refused is a part
//
//   - that is the whole packet (an atomic fragment: nobody needs to send one,
//     RFC 8021), is empty, ends where none but the last may, or ends behind the
//     most that a packet can be;
//   - of TCP or SCTP, which cut what they send by themselves: what a session of
//     theirs goes by, sequence numbers and a checksum over all, no part has;
//   - of neighbour discovery (RFC 6980), and of an ICMP error, which is short.
//
// A checksum or a cut that is left to others cannot be: no part has all of
// what is summed.
func parseFragment(f *Frame, b []byte, h *Headers, proto uint8, part Fragment) drop.Reason {
	h.Kind, h.Fragment, h.Key.Proto = KindFragment, part, proto
	length := h.PacketEnd - uint32(h.L4)
	switch {
	case part.First() && !part.More, length == 0, part.More && length%8 != 0, h.FragmentEnd() > maxPacket:
		return drop.Fragment
	case proto == ProtoTCP, proto == ProtoSCTP:
		return drop.Fragment
	case f.Offload.Checksum == ChecksumPartial, f.Offload.GSO != GSONone:
		return drop.BadOffload
	}
	h.Payload = h.L4
	if !part.First() {
		return drop.None
	}
	return parseFirst(b[h.L4:h.PacketEnd:h.PacketEnd], h, proto)
}

// parseFirst reads the transport header of a packet's first part.
func parseFirst(p []byte, h *Headers, proto uint8) drop.Reason {
	reason := drop.None
	switch proto {
	case ProtoUDP:
		if len(p) < udpLen || int(binary.BigEndian.Uint16(p[4:])) <= len(p) {
			return drop.Fragment // there are more parts, so it must be longer than this one
		}
		h.Key.SrcPort, h.Key.DstPort = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
		h.Payload = h.L4 + udpLen
	case ProtoICMP:
		reason = parseICMP(p, h)
	case ProtoICMPv6:
		reason = parseICMPv6(p, h)
	}
	if reason != drop.None || h.Kind != KindFragment || h.ICMPError {
		return drop.Fragment
	}
	return drop.None
}

// parseFragment6 reads an IPv6 packet from its fragment header on, which is at p
// from at on. Headers behind it are part of what was cut, so the first part must
// have them all; another fragment header, or what must come before one, is not
// among them.
//
//	|  Next Header  |   Reserved    |      Fragment Offset    |Res|M|
//	|                         Identification                        |
func parseFragment6(f *Frame, b []byte, h *Headers, p []byte, at int) drop.Reason {
	const fragmentLen = 8
	if len(p)-at < fragmentLen {
		return drop.IPv6Extension
	}
	next, offset := p[at], binary.BigEndian.Uint16(p[at+2:])
	part := Fragment{ID: binary.BigEndian.Uint32(p[at+4:]), Offset: offset &^ 7, More: offset&1 != 0}
	at += fragmentLen
	h.L4 = h.L3 + ipv6Len + uint16(at)
	if !part.First() {
		return parseFragment(f, b, h, next, part)
	}
	if next == extHopByHop {
		return drop.IPv6Extension
	}
	proto, size, reason := walkExtensions(p[at:], next)
	if reason != drop.None {
		return drop.IPv6Extension
	}
	if proto == ProtoICMP {
		return drop.BadTransport // it exists over IPv4 only
	}
	if size != 0 {
		// The offsets of the parts count from before these headers, and so do
		// ours: a first part with headers of its own before the transport's is
		// not what any sender makes.
		return drop.Fragment
	}
	return parseFragment(f, b, h, proto, part)
}
