package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// Neighbour discovery (RFC 4861 4). Solicitation and advertisement:
//
//	| type | code 0 | checksum |  R S O reserved  |  target (16)  | options ... |
//
// An option is type, length in units of 8 bytes, value.
const (
	ndTargetEnd    = 24
	ndSourceLink   = 1 // source link-layer address
	ndTargetLink   = 2
	ndMaxOptions   = 16
	ndFlagRouter   = 0x80
	ndFlagSolicit  = 0x40
	ndFlagOverride = 0x20
)

// ND is what a neighbour discovery packet says.
type ND struct {
	Target      Addr // solicitations, advertisements, redirects
	LinkAddr    MAC  // of the source or target link-layer option
	HasLinkAddr bool
}

// parseND checks what RFC 4861 has a receiver check first: the hop limit that
// no router can have passed on, the code, the lengths. It is why an off-link
// host cannot speak ND.
func parseND(p []byte, h *Headers) drop.Reason {
	if h.TTL != 255 || h.ICMPCode != 0 {
		return drop.BadNDP
	}
	at, fits := ndOptionsAt(h.ICMPType), false
	if len(p) >= at {
		_, _, fits = ndLinkAddr(p[at:])
	}
	if !fits {
		return drop.BadNDP
	}
	h.Kind = KindND
	return drop.None
}

// ndOptionsAt is where a message's options begin.
func ndOptionsAt(kind uint8) int {
	switch kind {
	case NDRouterSolicitation:
		return 8
	case NDRouterAdvertisement:
		return 16
	case NDRedirect:
		return 40
	}
	return ndTargetEnd
}

// ndLinkAddr finds the link-layer address among the options; fits is false if
// they do not parse, or if two of them disagree.
func ndLinkAddr(o []byte) (mac MAC, found, fits bool) {
	for n := 0; len(o) > 0; n++ {
		if n == ndMaxOptions || len(o) < 8 || o[1] == 0 || int(o[1])*8 > len(o) {
			return mac, found, false
		}
		if o[0] == ndSourceLink || o[0] == ndTargetLink {
			if o[1] != 1 || found && mac != MAC(o[2:8]) {
				return mac, found, false
			}
			mac, found = MAC(o[2:8]), true
		}
		o = o[int(o[1])*8:]
	}
	return mac, found, true
}

// NDOf reads the ND packet of a parsed frame of KindND.
func NDOf(f *Frame) ND {
	h := &f.Headers
	p := f.Bytes()[h.L4:h.PacketEnd]
	var n ND
	if h.ICMPType != NDRouterSolicitation && h.ICMPType != NDRouterAdvertisement {
		n.Target = Addr(p[8:24])
	}
	n.LinkAddr, n.HasLinkAddr, _ = ndLinkAddr(p[ndOptionsAt(h.ICMPType):])
	return n
}

// AnswerND turns a neighbour solicitation of KindND into the advertisement
// that says that mac holds the target, addressed to who asked (RFC 4861
// 7.2.4). It returns false if the frame's memory is too small.
func AnswerND(f *Frame, mac MAC, router bool) bool {
	h := &f.Headers
	const size = ndTargetEnd + 8
	end := f.Start + uint32(h.L3) + ipv6Len + size
	if int(end) > len(f.Buf) {
		return false
	}
	asker, target := h.Key.Src, NDOf(f).Target
	f.End = end
	writeIPv6(f.Bytes()[h.L3:], ProtoICMPv6, size, 255, &target, &asker)
	p := f.Bytes()[h.L3+ipv6Len:]
	clear(p)
	p[0] = NDNeighbourAdvertisement
	p[4] = ndFlagSolicit | ndFlagOverride
	if router {
		p[4] |= ndFlagRouter
	}
	copy(p[8:24], target[:])
	p[24], p[25] = ndTargetLink, 1
	copy(p[26:32], mac[:])
	sum := checksum.Pseudo(target[:], asker[:], ProtoICMPv6, size)
	binary.BigEndian.PutUint16(p[2:], checksum.Of(p, sum))
	SetMACs(f, h.Src, mac)
	f.Offload = Offload{}
	return Parse(f) == drop.None
}

// solicitND writes a neighbour solicitation for target.
func solicitND(f *Frame, mac MAC, from, target *Addr) {
	const size = ndTargetEnd + 8
	f.End = f.Start + ethernetLen + ipv6Len + size
	b := f.Bytes()
	clear(b)
	group := Addr{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: target[13], 14: target[14], 15: target[15]}
	copy(b, "\x33\x33")
	copy(b[2:6], group[12:])
	copy(b[6:], mac[:])
	binary.BigEndian.PutUint16(b[12:], EtherTypeIPv6)
	writeIPv6(b[ethernetLen:], ProtoICMPv6, size, 255, from, &group)
	p := b[ethernetLen+ipv6Len:]
	p[0] = NDNeighbourSolicitation
	copy(p[8:24], target[:])
	p[24], p[25] = ndSourceLink, 1
	copy(p[26:32], mac[:])
	sum := checksum.Pseudo(from[:], group[:], ProtoICMPv6, size)
	binary.BigEndian.PutUint16(p[2:], checksum.Of(p, sum))
}

// writeIPv6 writes an IPv6 header without extensions.
func writeIPv6(p []byte, proto uint8, payload int, hops uint8, src, dst *Addr) {
	binary.BigEndian.PutUint32(p, 6<<28)
	binary.BigEndian.PutUint16(p[4:], uint16(payload))
	p[6], p[7] = proto, hops
	copy(p[8:24], src[:])
	copy(p[24:40], dst[:])
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
