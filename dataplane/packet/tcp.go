package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// TCP (RFC 9293 3.1):
//
//	|          Source Port          |       Destination Port        |
//	|                        Sequence Number                        |
//	|                    Acknowledgment Number                      |
//	| Offset| Rsrvd |C E U A P R S F|            Window             |
//	|           Checksum            |         Urgent Pointer        |
//	|                       Options ...                             |
const tcpLen = 20

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
