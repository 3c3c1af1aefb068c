package vxlan

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Encap puts a parsed frame into a tunnel to a peer of its segment: f then
// begins with the outer Ethernet header. src and dst are the underlay's MACs,
// hash the flow's symmetric hash, which chooses the source port so that the
// underlay spreads flows and keeps each in order (RFC 7348 5). group is the one
// that the sender is of, or 0; it is said to who speaks the extension. f.Headers
// keep the offsets of the inner frame, which count from behind f.Outer.
func (t *Table) Encap(f *packet.Frame, segment, peer uint16, src, dst packet.MAC, hash uint32, group uint16) drop.Reason {
	vni, known := t.vnis[segment]
	if !known || !t.member[uint32(segment)<<16|uint32(peer)] {
		return drop.UnknownPeer
	}
	remote := &t.peers[peer]
	local, found := t.localFor(remote)
	if !found {
		return drop.NoUplink
	}
	tos, inner := innerTOS(f), f.Bytes()
	size := t.Overhead(peer)
	if !f.Push(size) {
		return drop.NoHeadroom
	}
	f.Outer = uint16(size)
	b := f.Bytes()
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	udp := b[size-headerLen-udpLen:]
	writeUDP(udp, sourcePort(hash), t.port, vni)
	if group != 0 && t.speaks[peer] {
		udp[udpLen] |= flagGroup
		binary.BigEndian.PutUint16(udp[udpLen+2:], group)
	}
	if remote.Is4() {
		binary.BigEndian.PutUint16(b[12:], packet.EtherTypeIPv4)
		writeIPv4(b[etherLen:], local, remote, tos)
		return drop.None
	}
	binary.BigEndian.PutUint16(b[12:], packet.EtherTypeIPv6)
	writeIPv6(b[etherLen:], local, remote, tos)
	if !t.zero6 {
		binary.BigEndian.PutUint16(udp[6:], outerSum(f, udp[:udpLen+headerLen], inner, local, remote))
	}
	return drop.None
}

// outerSum returns the UDP checksum of the tunnel headers before an inner
// frame. For a superframe it only says that there is to be one: the segmenter
// makes each segment's.
func outerSum(f *packet.Frame, headers, inner []byte, src, dst *packet.Addr) uint16 {
	if f.Offload.GSO != packet.GSONone {
		return 0xffff
	}
	sum := checksum.Pseudo(src[:], dst[:], packet.ProtoUDP, uint32(len(headers)+len(inner)))
	if c := ^checksum.Fold(sumInner(f, inner, checksum.Sum(headers, sum))); c != 0 {
		return c
	}
	return 0xffff // zero would say that there is none (RFC 768)
}

// writeUDP writes the headers of UDP, without a checksum, and VXLAN before the
// inner frame.
func writeUDP(p []byte, src, dst uint16, vni uint32) {
	binary.BigEndian.PutUint16(p, src)
	binary.BigEndian.PutUint16(p[2:], dst)
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[6:], 0)
	binary.BigEndian.PutUint32(p[8:], flagVNI<<24)
	binary.BigEndian.PutUint32(p[12:], vni<<8)
}

// sourcePort spreads hashes over the dynamic ports (RFC 6335).
func sourcePort(hash uint32) uint16 { return uint16(firstSourcePort + (hash^hash>>16)&0x3fff) }

const firstSourcePort = 49152

// innerTOS is the outer packet's type of service: the inner one's (RFC 6040
// 4.1, normal mode), or none for what is not IP.
func innerTOS(f *packet.Frame) uint8 {
	if f.Headers.Kind == packet.KindARP {
		return 0
	}
	return f.TOS()
}

const outerTTL = 64

// writeIPv4 writes the outer header: DF set, because a VTEP must not fragment
// (RFC 7348 4.3). For a superframe the length is the whole's, modulo 2^16; the
// segmenter writes each segment's.
func writeIPv4(p []byte, src, dst *packet.Addr, tos uint8) {
	clear(p[:ipv4Len])
	p[0], p[1] = 0x45, tos
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[6], p[8], p[9] = 0x40, outerTTL, packet.ProtoUDP
	copy(p[12:16], src[12:])
	copy(p[16:20], dst[12:])
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:ipv4Len], 0))
}

func writeIPv6(p []byte, src, dst *packet.Addr, tos uint8) {
	binary.BigEndian.PutUint32(p, 6<<28|uint32(tos)<<20)
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-ipv6Len))
	p[6], p[7] = packet.ProtoUDP, outerTTL
	copy(p[8:24], src[:])
	copy(p[24:40], dst[:])
}

// localFor returns our address of the family of a peer's.
func (t *Table) localFor(remote *packet.Addr) (*packet.Addr, bool) {
	for i := range t.local {
		if t.local[i].Is4() == remote.Is4() {
			return &t.local[i], true
		}
	}
	return nil, false
}
