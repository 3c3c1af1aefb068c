package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
)

// Nearly every frame is a plain one: untagged, IPv4 without options, whole, TCP. What
// the readers of each header find out about such a frame one after the other, with a
// look at what else it might be at every step, parsePlain finds out in one go, of the
// 54 bytes that every such frame has:
//
//	| dst 6 | src 6 | 0800 | 45 tos total id frag ttl 06 sum src dst | TCP 20 |
//	0       6       12     14                                        34       54
//
// It is no second opinion: in the slightest doubt it says no, has written nothing,
// and the readers say what the frame is, or why it is none (BenchmarkParse tcp4;
// TestPlainIsWhatTheReadersSay).
const plainLen = ethernetLen + ipv4Len + tcpLen

// parsePlain fills h, which must be new, if b is a plain frame.
func parsePlain(b []byte, h *Headers) bool {
	if len(b) < plainLen {
		return false
	}
	p, be := (*[plainLen]byte)(b), binary.BigEndian
	if be.Uint32(p[12:])&^0xff != EtherTypeIPv4<<16|0x45<<8 || p[23] != ProtoTCP || be.Uint16(p[20:])&0x3fff != 0 {
		return false // another type, with options, another protocol, or a part
	}
	total, size := uint32(be.Uint16(p[16:])), uint32(p[46]>>4)*4
	if size < tcpLen || total < ipv4Len+size || total > uint32(len(b)-ethernetLen) {
		return false
	}
	if p[6]&1 != 0 || be.Uint32(p[6:])|uint32(be.Uint16(p[10:])) == 0 || be.Uint32(p[0:]) == 0x0180c200 {
		return false // a source that nobody has, or a destination of the link's own
	}
	if !checksum.VerifyHeader((*[ipv4Len]byte)(p[ethernetLen:])) {
		return false
	}
	h.Dst, h.Src = MAC(p[0:6]), MAC(p[6:12])
	h.EtherType, h.L3, h.L4 = EtherTypeIPv4, ethernetLen, ethernetLen+ipv4Len
	h.Payload, h.PacketEnd = uint16(ethernetLen+ipv4Len+size), ethernetLen+total
	h.TTL = p[22]
	h.Key.Src.Set4((*[4]byte)(p[26:]))
	h.Key.Dst.Set4((*[4]byte)(p[30:]))
	h.Key.SrcPort, h.Key.DstPort, h.Key.Proto = be.Uint16(p[34:]), be.Uint16(p[36:]), ProtoTCP
	h.TCPSeq, h.TCPAck = be.Uint32(p[38:]), be.Uint32(p[42:])
	h.TCPFlags, h.TCPWindow = p[47], be.Uint16(p[48:])
	return true
}
