package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861) that the switch
// tells apart.
const (
	ICMPEchoReply      = 0
	ICMPUnreachable    = 3
	ICMPSourceQuench   = 4
	ICMPRedirect       = 5
	ICMPEchoRequest    = 8
	ICMPTimeExceeded   = 11
	ICMPParameter      = 12
	ICMPv6Unreachable  = 1
	ICMPv6TooBig       = 2
	ICMPv6TimeExceeded = 3
	ICMPv6Parameter    = 4
	ICMPv6EchoRequest  = 128
	ICMPv6EchoReply    = 129

	NDRouterSolicitation     = 133
	NDRouterAdvertisement    = 134
	NDNeighbourSolicitation  = 135
	NDNeighbourAdvertisement = 136
	NDRedirect               = 137
)

func parseICMP(b, p []byte, h *Headers) drop.Reason {
	if len(p) < icmpLen {
		return drop.BadTransport
	}
	h.ICMPType, h.ICMPCode = p[0], p[1]
	h.Payload = h.L4 + icmpLen
	switch h.ICMPType {
	case ICMPEchoRequest, ICMPEchoReply:
		setEchoID(p, h)
	case ICMPUnreachable, ICMPSourceQuench, ICMPTimeExceeded, ICMPParameter:
		return parseQuote4(b, h)
	}
	return drop.None
}

func parseICMPv6(b, p []byte, h *Headers) drop.Reason {
	if len(p) < icmpLen {
		return drop.BadTransport
	}
	h.ICMPType, h.ICMPCode = p[0], p[1]
	h.Payload = h.L4 + icmpLen
	switch {
	case h.ICMPType == ICMPv6EchoRequest || h.ICMPType == ICMPv6EchoReply:
		setEchoID(p, h)
	case h.ICMPType >= NDRouterSolicitation && h.ICMPType <= NDRedirect:
		return parseND(p, h)
	case h.ICMPType >= ICMPv6Unreachable && h.ICMPType <= ICMPv6Parameter:
		return parseQuote6(b, h)
	}
	return drop.None
}

// setEchoID makes the identifier of an echo both its ports: so request and
// reply are one flow.
func setEchoID(p []byte, h *Headers) {
	id := binary.BigEndian.Uint16(p[4:])
	h.Key.SrcPort, h.Key.DstPort = id, id
}

// parseQuote4 reads the packet that an ICMP error is about: its header and at
// least 8 bytes of its transport (RFC 792). The quote is cut short, so its
// total length is not held against what is there.
func parseQuote4(b []byte, h *Headers) drop.Reason {
	q := b[h.Payload:h.PacketEnd]
	if len(q) < ipv4Len || q[0]>>4 != 4 {
		return drop.BadTransport
	}
	size := int(q[0]&15) * 4
	if size < ipv4Len || len(q) < size+8 || binary.BigEndian.Uint16(q[6:])&0x1fff != 0 {
		return drop.BadTransport
	}
	h.Inner.Src, h.Inner.Dst = AddrFrom4([4]byte(q[12:16])), AddrFrom4([4]byte(q[16:20]))
	return parseQuoted(q[size:], h, q[9], h.Payload+uint16(size))
}

// parseQuote6 is parseQuote4 for ICMPv6.
func parseQuote6(b []byte, h *Headers) drop.Reason {
	q := b[h.Payload:h.PacketEnd]
	if len(q) < ipv6Len || q[0]>>4 != 6 {
		return drop.BadTransport
	}
	proto, size, reason := walkExtensions(q[ipv6Len:], q[6])
	if reason != drop.None || len(q) < ipv6Len+size+8 {
		return drop.BadTransport
	}
	h.Inner.Src, h.Inner.Dst = Addr(q[8:24]), Addr(q[24:40])
	if embedsIPv4(&h.Inner.Src) || embedsIPv4(&h.Inner.Dst) {
		return drop.BadTransport
	}
	return parseQuoted(q[ipv6Len+size:], h, proto, h.Payload+ipv6Len+uint16(size))
}

// parseQuoted reads the first 8 bytes of the quoted transport. An error about
// an error is not one that anybody sends (RFC 1122 3.2.2, RFC 4443 2.4).
func parseQuoted(t []byte, h *Headers, proto uint8, at uint16) drop.Reason {
	h.Inner.Proto = proto
	h.InnerL4 = at
	switch proto {
	case ProtoTCP, ProtoUDP, ProtoSCTP:
		h.Inner.SrcPort, h.Inner.DstPort = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
	case ProtoICMP:
		if h.V6 || t[0] != ICMPEchoRequest && t[0] != ICMPEchoReply {
			return drop.BadTransport
		}
		id := binary.BigEndian.Uint16(t[4:])
		h.Inner.SrcPort, h.Inner.DstPort = id, id
	case ProtoICMPv6:
		if !h.V6 || t[0] != ICMPv6EchoRequest && t[0] != ICMPv6EchoReply {
			return drop.BadTransport
		}
		id := binary.BigEndian.Uint16(t[4:])
		h.Inner.SrcPort, h.Inner.DstPort = id, id
	}
	h.ICMPError = true
	return drop.None
}
