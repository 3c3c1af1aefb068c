package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// IPv4 (RFC 791 3.1):
//
//	 0                   1                   2                   3
//	|Version|  IHL  |Type of Service|          Total Length         |
//	|         Identification        |Flags|      Fragment Offset    |
//	|  Time to Live |    Protocol   |         Header Checksum       |
//	|                       Source Address                          |
//	|                    Destination Address                        |
//	|                    Options                    |    Padding    |
const (
	ipv4Len = 20
	// Options that steer the packet past what judged it: loose and strict
	// source route (RFC 791 3.1, RFC 7126 4.3-4.4).
	optionLSRR = 131
	optionSSRR = 137
)

func parseIPv4(f *Frame, b []byte, h *Headers) drop.Reason {
	p := b[h.L3:]
	if len(p) < ipv4Len || p[0]>>4 != 4 {
		return drop.BadIPv4
	}
	size := int(p[0]&15) * 4
	total := int(binary.BigEndian.Uint16(p[2:]))
	if size < ipv4Len || size > len(p) || total < size || total > len(p) {
		return drop.BadIPv4
	}
	if size == ipv4Len && !checksum.VerifyHeader((*[ipv4Len]byte)(p)) || size > ipv4Len && !checksum.Verify(p[:size], 0) {
		return drop.BadIPv4Checksum
	}
	if size > ipv4Len && !ipv4OptionsHarmless(p[ipv4Len:size]) {
		return drop.IPv4Options
	}
	h.PacketEnd = uint32(h.L3) + uint32(total)
	h.TTL = p[8]
	h.Key.Src.Set4((*[4]byte)(p[12:]))
	h.Key.Dst.Set4((*[4]byte)(p[16:]))
	if p[9] == ProtoICMPv6 {
		return drop.BadTransport // it exists over IPv6 only (RFC 4443 1)
	}
	h.L4 = h.L3 + uint16(size)
	if part := binary.BigEndian.Uint16(p[6:]) & 0x3fff; part != 0 { // more fragments, or an offset
		return parseFragment(f, b, h, p[9], Fragment{
			ID: uint32(binary.BigEndian.Uint16(p[4:])), Offset: part & 0x1fff << 3, More: part&0x2000 != 0, Proto: p[9],
		})
	}
	return parseTransport(f, b, h, p[9])
}

// ipv4OptionsHarmless tells whether the options parse and none is a source
// route.
func ipv4OptionsHarmless(o []byte) bool {
	for len(o) > 0 {
		switch o[0] {
		case 0: // end of options
			return true
		case 1: // no operation
			o = o[1:]
			continue
		case optionLSRR, optionSSRR:
			return false
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return false
		}
		o = o[o[1]:]
	}
	return true
}

// DecTTL takes one from the TTL or hop limit of a parsed packet, and mends the
// IPv4 header checksum (RFC 1624). The transport's sum does not cover it.
func DecTTL(f *Frame) {
	h := &f.Headers
	p := f.Bytes()[h.L3:]
	h.TTL--
	if h.V6 {
		p[7]--
		return
	}
	old := binary.BigEndian.Uint16(p[8:])
	p[8]--
	sum := binary.BigEndian.Uint16(p[10:])
	binary.BigEndian.PutUint16(p[10:], checksum.Update(sum, old, old-0x100))
}

// TOS returns the type of service or traffic class of a parsed packet.
func (f *Frame) TOS() uint8 {
	p := f.Bytes()[f.Headers.L3:]
	if f.Headers.V6 {
		return p[0]<<4 | p[1]>>4
	}
	return p[1]
}

// SetTOS writes the type of service or traffic class of a parsed packet.
func SetTOS(f *Frame, tos uint8) {
	h := &f.Headers
	p := f.Bytes()[h.L3:]
	if h.V6 {
		p[0], p[1] = p[0]&0xf0|tos>>4, p[1]&0x0f|tos<<4
		return
	}
	old := binary.BigEndian.Uint16(p)
	p[1] = tos
	binary.BigEndian.PutUint16(p[10:], checksum.Update(binary.BigEndian.Uint16(p[10:]), old, binary.BigEndian.Uint16(p)))
}

// writeIPv4 writes an IPv4 header without options, DF set.
func writeIPv4(p []byte, proto uint8, payload int, ttl uint8, src, dst *Addr) {
	clear(p[:ipv4Len])
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], uint16(ipv4Len+payload))
	p[6] = 0x40
	p[8], p[9] = ttl, proto
	copy(p[12:16], src[12:])
	copy(p[16:20], dst[12:])
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:ipv4Len], 0))
}
