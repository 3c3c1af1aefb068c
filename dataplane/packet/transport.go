package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// Header lengths of transports, in bytes.
const (
	tcpLen  = 20 // RFC 9293 3.1
	udpLen  = 8  // RFC 768
	sctpLen = 12 // RFC 9260 3.1
	icmpLen = 8  // RFC 792, RFC 4443
)

func parseTCP(p []byte, h *Headers) drop.Reason {
	if len(p) < tcpLen {
		return drop.BadTransport
	}
	size := int(p[12]>>4) * 4
	if size < tcpLen || size > len(p) {
		return drop.BadTransport
	}
	h.Key.SrcPort, h.Key.DstPort = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	h.TCPSeq, h.TCPAck = binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[8:])
	h.TCPFlags = p[13]
	h.TCPWindow = binary.BigEndian.Uint16(p[14:])
	h.Payload = h.L4 + uint16(size)
	return drop.None
}

// parseUDP reads a UDP header. Its length must be that of the IP payload:
// bytes behind it would be judged by nobody. A superframe's may be zero or too
// large for 16 bits, and is written when it is cut.
func parseUDP(f *Frame, p []byte, h *Headers) drop.Reason {
	if len(p) < udpLen {
		return drop.BadTransport
	}
	length := int(binary.BigEndian.Uint16(p[4:]))
	if length != len(p) && f.Offload.GSO == GSONone {
		return drop.BadTransport
	}
	h.Key.SrcPort, h.Key.DstPort = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	h.Payload = h.L4 + udpLen
	return drop.None
}

func parseSCTP(p []byte, h *Headers) drop.Reason {
	if len(p) < sctpLen {
		return drop.BadTransport
	}
	h.Key.SrcPort, h.Key.DstPort = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	h.Payload = h.L4 + sctpLen
	return drop.None
}
