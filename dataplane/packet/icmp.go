package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861) that the switch
// tells apart.
const (
	ICMPEchoReply           = 0
	ICMPUnreachable         = 3
	ICMPSourceQuench        = 4
	ICMPRedirect            = 5
	ICMPRouterAdvertisement = 9
	ICMPEchoRequest         = 8
	ICMPTimeExceeded        = 11
	ICMPParameter           = 12
	ICMPTimestamp           = 13
	ICMPTimestampReply      = 14
	ICMPv6Unreachable       = 1
	ICMPv6TooBig            = 2
	ICMPv6TimeExceeded      = 3
	ICMPv6Parameter         = 4
	ICMPv6EchoRequest       = 128
	ICMPv6EchoReply         = 129

	NDRouterSolicitation     = 133
	NDRouterAdvertisement    = 134
	NDNeighbourSolicitation  = 135
	NDNeighbourAdvertisement = 136
	NDRedirect               = 137
)

// icmpLen is the length of the header of both, with the four bytes that are
// the type's own (RFC 792, RFC 4443 2.1):
//
//	|     Type      |     Code      |          Checksum             |
//	|   Identifier, pointer, MTU or unused, by type                 |
const icmpLen = 8

func parseICMP(p []byte, h *Headers) drop.Reason {
	if len(p) < icmpLen {
		return drop.BadTransport
	}
	h.ICMPType, h.ICMPCode = p[0], p[1]
	h.Payload = h.L4 + icmpLen
	setQuery4(p, &h.Key)
	if isError4(h.ICMPType) {
		return parseQuote4(p[icmpLen:], h)
	}
	return drop.None
}

func parseICMPv6(p []byte, h *Headers) drop.Reason {
	if len(p) < icmpLen {
		return drop.BadTransport
	}
	h.ICMPType, h.ICMPCode = p[0], p[1]
	h.Payload = h.L4 + icmpLen
	setQuery6(p, &h.Key)
	switch {
	case h.ICMPType >= NDRouterSolicitation && h.ICMPType <= NDRedirect:
		return parseND(p, h)
	case h.ICMPType >= ICMPv6Unreachable && h.ICMPType <= ICMPv6Parameter:
		return parseQuote6(p[icmpLen:], h)
	}
	return drop.None
}

// Query is the kind of question that an ICMP message asks or answers. It keeps
// apart what has the same identifier: an echo of identifier 0 is no flow of the
// messages that have none.
type Query uint8

// The kinds of questions.
const (
	QueryNone      Query = iota // a message without an identifier, or no ICMP
	QueryEcho                   // RFC 792, RFC 4443 4
	QueryTimestamp              // RFC 792
)

// setQuery4 makes the identifier of a question and its answer both ports: so
// the two are one flow.
func setQuery4(p []byte, k *Key) {
	switch p[0] {
	case ICMPEchoRequest, ICMPEchoReply:
		k.Query = QueryEcho
	case ICMPTimestamp, ICMPTimestampReply:
		k.Query = QueryTimestamp
	default:
		return
	}
	id := binary.BigEndian.Uint16(p[4:])
	k.SrcPort, k.DstPort = id, id
}

// setQuery6 is setQuery4 for ICMPv6.
func setQuery6(p []byte, k *Key) {
	if p[0] != ICMPv6EchoRequest && p[0] != ICMPv6EchoReply {
		return
	}
	id := binary.BigEndian.Uint16(p[4:])
	k.Query, k.SrcPort, k.DstPort = QueryEcho, id, id
}

// parseQuote4 reads the packet that an ICMP error is about: its header and at
// least 8 bytes of its transport (RFC 792). The quote is cut short, so its
// total length is not held against what is there.
func parseQuote4(q []byte, h *Headers) drop.Reason {
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
func parseQuote6(q []byte, h *Headers) drop.Reason {
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
	switch proto {
	case ProtoTCP, ProtoUDP, ProtoSCTP:
		h.Inner.SrcPort, h.Inner.DstPort = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
	case ProtoICMP:
		if h.V6 || isError4(t[0]) {
			return drop.BadTransport
		}
		setQuery4(t, &h.Inner)
	case ProtoICMPv6:
		if !h.V6 || isError6(t[0]) {
			return drop.BadTransport
		}
		setQuery6(t, &h.Inner)
	}
	h.Inner.Proto, h.InnerL4, h.ICMPError = proto, at, true
	return drop.None
}

// isError4 tells of the ICMP types that quote a packet and belong to its flow.
// A redirect quotes one, too, but asks to change a route: it is no error.
func isError4(kind uint8) bool {
	switch kind {
	case ICMPUnreachable, ICMPSourceQuench, ICMPTimeExceeded, ICMPParameter:
		return true
	}
	return false
}

// isError6 tells of the ICMPv6 errors: types below 128 (RFC 4443 2.1). Only
// the four that are defined are ever parsed as one; the rest are unknown.
func isError6(kind uint8) bool { return kind < 128 }
