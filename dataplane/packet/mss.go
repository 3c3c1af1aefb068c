package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
)

// Options of TCP that are read (RFC 9293 3.1).
const (
	tcpOptionEnd  = 0
	tcpOptionNone = 1
	tcpOptionMSS  = 2
	tcpMSSLen     = 4
)

// ClampMSS lowers the maximum segment size that a parsed TCP SYN announces to
// what an MTU, in bytes of IP, leaves behind an IP and a TCP header (RFC 6691 2),
// and tells whether it did. A SYN without the option stays as it is: it stands for
// 536 bytes (RFC 9293 3.7.1). The checksum is updated, if it counts the option.
func ClampMSS(f *Frame, mtu uint32) bool {
	h := &f.Headers
	most := uint32(ipv4Len + tcpLen)
	if h.V6 {
		most = ipv6Len + tcpLen
	}
	if mtu <= most {
		return false
	}
	most = mtu - most
	segment := f.Bytes()[h.L4:h.Payload]
	at := mssIn(segment)
	if at == 0 || uint32(binary.BigEndian.Uint16(segment[at:])) <= most {
		return false
	}
	var new [2]byte
	binary.BigEndian.PutUint16(new[:], uint16(most))
	if f.Offload.Checksum != ChecksumPartial {
		sum := binary.BigEndian.Uint16(segment[tcpChecksum:])
		binary.BigEndian.PutUint16(segment[tcpChecksum:], updateAt(sum, at, [2]byte(segment[at:at+2]), new))
	}
	copy(segment[at:], new[:])
	return true
}

// updateAt updates a checksum for two bytes at any place: at an odd one they are
// the low half of a word and the high half of the next, which to a ones'
// complement sum is a word with its bytes swapped (RFC 1071 2 B).
func updateAt(sum uint16, at int, old, new [2]byte) uint16 {
	if at&1 != 0 {
		old[0], old[1], new[0], new[1] = old[1], old[0], new[1], new[0]
	}
	return checksum.Update(sum, binary.BigEndian.Uint16(old[:]), binary.BigEndian.Uint16(new[:]))
}

// mssIn returns where in a TCP header the value of the MSS option is; zero if
// there is none that is whole. Options that do not parse are left to the receiver.
func mssIn(segment []byte) int {
	for at := tcpLen; at < len(segment); {
		switch segment[at] {
		case tcpOptionEnd:
			return 0
		case tcpOptionNone:
			at++
			continue
		}
		if at+2 > len(segment) || segment[at+1] < 2 || at+int(segment[at+1]) > len(segment) {
			return 0
		}
		if segment[at] == tcpOptionMSS && segment[at+1] == tcpMSSLen {
			return at + 2
		}
		at += int(segment[at+1])
	}
	return 0
}
