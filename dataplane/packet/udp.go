package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// UDP (RFC 768):
//
//	|          Source Port          |       Destination Port        |
//	|            Length             |           Checksum            |
const udpLen = 8

// parseUDP reads a UDP header. Its length must be that of the IP payload:
// bytes behind it would be judged by nobody (RFC 9868 makes options of them).
// A superframe of UDP may leave it zero; it is written when the frame is cut.
func parseUDP(p []byte, h *Headers, gso GSO) drop.Reason {
	if len(p) < udpLen {
		return drop.BadTransport
	}
	length := int(binary.BigEndian.Uint16(p[4:]))
	if length != len(p) && !(length == 0 && (gso == GSOUDP4 || gso == GSOUDP6)) {
		return drop.BadTransport
	}
	h.Key.SrcPort, h.Key.DstPort = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	h.Payload = h.L4 + udpLen
	return drop.None
}
