package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// allNodes is ff02::1, and its MAC (RFC 4291 2.7.1, RFC 2464 7).
var (
	allNodes    = Addr{0: 0xff, 1: 2, 15: 1}
	allNodesMAC = MAC{0x33, 0x33, 0, 0, 0, 1}
)

// AnswerND turns a parsed neighbour solicitation into the advertisement that
// says that mac holds the target, addressed to who asked; or to all nodes when
// the question came from ::, which asks whether the target is free (RFC 4861
// 7.2.4). It returns false if the frame is none or its memory is too small.
func AnswerND(f *Frame, mac MAC, router bool) bool {
	h := &f.Headers
	const size = ndTargetEnd + 8
	end := f.Start + uint32(h.L3) + ipv6Len + size
	if h.Kind != KindND || h.ICMPType != NDNeighbourSolicitation || !f.holdsPacket() || int(end) > len(f.Buf) {
		return false
	}
	target := NDOf(f).Target
	to, toMAC, flags := h.Key.Src, h.Src, byte(ndFlagSolicit|ndFlagOverride)
	if to == (Addr{}) {
		to, toMAC, flags = allNodes, allNodesMAC, ndFlagOverride
	}
	if router {
		flags |= ndFlagRouter
	}
	f.End = end
	ip := f.Bytes()[h.L3:]
	writeIPv6(ip, ProtoICMPv6, size, 255, &target, &to)
	writeAdvertisement(ip, flags, mac)
	SetMACs(f, toMAC, mac)
	f.Offload = Offload{}
	return Parse(f) == drop.None
}

// writeAdvertisement writes a neighbour advertisement behind the IPv6 header
// ip, whose source is the target.
func writeAdvertisement(ip []byte, flags byte, mac MAC) {
	p := ip[ipv6Len:]
	clear(p)
	p[0], p[4] = NDNeighbourAdvertisement, flags
	copy(p[8:24], ip[8:24])
	p[24], p[25] = ndTargetLink, 1
	copy(p[26:32], mac[:])
	sum := checksum.Pseudo(ip[8:24], ip[24:40], ProtoICMPv6, uint32(len(p)))
	binary.BigEndian.PutUint16(p[icmpChecksum:], checksum.Of(p, sum))
}
