package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// SCTP's common header (RFC 9260 3.1):
//
//	|          Source Port          |       Destination Port        |
//	|                      Verification Tag                         |
//	|                      Checksum (CRC32c)                        |
const sctpLen = 12

func parseSCTP(p []byte, h *Headers) drop.Reason {
	if len(p) < sctpLen {
		return drop.BadTransport
	}
	h.Key.SrcPort, h.Key.DstPort = binary.BigEndian.Uint16(p), binary.BigEndian.Uint16(p[2:])
	h.Payload = h.L4 + sctpLen
	return drop.None
}
