package udp

import (
	"encoding/binary"
	"net/netip"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/packet"
)

// The headers that the walk wants to see, and writes, around a tunnel:
//
//	| Ethernet 14 | IPv4 20, or IPv6 40 | UDP 8 | VXLAN 8 | inner frame |
//	`-------- made here, or read -------------´ `----- the datagram ----´
const (
	etherLen = 14
	ipv4Len  = 20
	ipv6Len  = 40
	udpLen   = 8
	vxlanLen = 8

	outer4 = etherLen + ipv4Len + udpLen
	outer6 = etherLen + ipv6Len + udpLen

	outerTTL = 64
)

// MACs of a link that is none. Their second bit says that they are made up.
var ourMAC, hostMAC = packet.MAC{2, 0, 0, 0, 0, 1}, packet.MAC{2, 0, 0, 0, 0, 2}

// outerLen is how long the headers of a family are.
func outerLen(family int) int {
	if family == 0 {
		return outer4
	}
	return outer6
}

// putOuter writes the headers of a datagram of n bytes. The kernel has verified
// its checksum, so it has none here.
func putOuter(b []byte, from, to netip.AddrPort, tos uint8, n int) {
	copy(b[0:6], ourMAC[:])
	copy(b[6:12], hostMAC[:])
	ip := b[etherLen:]
	udp := ip[ipv6Len:]
	if to.Addr().Is4() {
		udp = ip[ipv4Len:]
		binary.BigEndian.PutUint16(b[12:], packet.EtherTypeIPv4)
		clear(ip[:ipv4Len])
		ip[0], ip[1], ip[8], ip[9] = 0x45, tos, outerTTL, packet.ProtoUDP
		binary.BigEndian.PutUint16(ip[2:], uint16(ipv4Len+udpLen+n))
		src, dst := from.Addr().As4(), to.Addr().As4()
		copy(ip[12:], src[:])
		copy(ip[16:], dst[:])
		binary.BigEndian.PutUint16(ip[10:], checksum.Of(ip[:ipv4Len], 0))
	} else {
		binary.BigEndian.PutUint16(b[12:], packet.EtherTypeIPv6)
		binary.BigEndian.PutUint32(ip, 6<<28|uint32(tos)<<20)
		binary.BigEndian.PutUint16(ip[4:], uint16(udpLen+n))
		ip[6], ip[7] = packet.ProtoUDP, outerTTL
		src, dst := from.Addr().As16(), to.Addr().As16()
		copy(ip[8:], src[:])
		copy(ip[24:], dst[:])
	}
	binary.BigEndian.PutUint16(udp, from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(udpLen+n))
	binary.BigEndian.PutUint16(udp[6:], 0)
}

// target is whom a tunnel is for, as the walk wrote it.
type target struct {
	family int
	addr   [16]byte // of IPv4 the first four
	port   uint16
	tos    uint8
	lane   uint16
}

// readOuter reads the headers of a tunnel that the walk made; false if they are
// no tunnel's.
func readOuter(b []byte) (t target, ok bool) {
	if len(b) < outer4+vxlanLen {
		return t, false
	}
	ip, udp := b[etherLen:], b[outer4-udpLen:]
	switch binary.BigEndian.Uint16(b[12:]) {
	case packet.EtherTypeIPv4:
		copy(t.addr[:4], ip[16:20])
		t.tos = ip[1]
		ok = ip[0] == 0x45 && ip[9] == packet.ProtoUDP
	case packet.EtherTypeIPv6:
		if len(b) < outer6+vxlanLen {
			return t, false
		}
		t.family, udp = 1, b[outer6-udpLen:]
		copy(t.addr[:], ip[24:40])
		t.tos = uint8(binary.BigEndian.Uint16(ip) >> 4)
		ok = ip[6] == packet.ProtoUDP
	}
	t.port, t.lane = binary.BigEndian.Uint16(udp[2:]), binary.BigEndian.Uint16(udp)%Lanes
	return t, ok
}

// superframe tells what a tunnel is that is too long for its underlay: one around
// a superframe, of which this is the rest of the work. size is what its sender cut
// it into, where that is known; else it may be cut into what room takes. It is one
// if its checksum is partial: nobody else would send it unfinished. What is none is
// a frame of a peer with a larger MTU.
func superframe(tunnel []byte, outer int, size, room int) (o packet.Offload, is bool) {
	const ether = vxlanLen + etherLen
	if len(tunnel) < ether+ipv6Len+udpLen || len(tunnel) != innerLen(tunnel) {
		return o, false
	}
	ip := tunnel[ether:]
	l4, proto, v6 := int(ip[0]&15)*4, ip[9], false
	if binary.BigEndian.Uint16(tunnel[vxlanLen+12:]) == packet.EtherTypeIPv6 {
		l4, proto, v6 = ipv6Len, ip[6], true
	}
	if l4 < ipv4Len || l4+tcpLen > len(ip) {
		return o, false
	}
	o = packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: uint16(outer + ether + l4), CsumOffset: tcpChecksum}
	headers := l4 + udpLen
	switch {
	case proto == packet.ProtoTCP && v6:
		o.GSO, headers = packet.GSOTCP6, l4+int(ip[l4+12]>>4)*4
	case proto == packet.ProtoTCP:
		o.GSO, headers = packet.GSOTCP4, l4+int(ip[l4+12]>>4)*4
	case proto == packet.ProtoUDP && v6:
		o.GSO, o.CsumOffset = packet.GSOUDP6, udpChecksum
	case proto == packet.ProtoUDP:
		o.GSO, o.CsumOffset = packet.GSOUDP4, udpChecksum
	default:
		return packet.Offload{}, false
	}
	if size == 0 && proto == packet.ProtoTCP {
		size = room - headers
	}
	o.Size = uint16(max(size, 0))
	field := binary.BigEndian.Uint16(ip[l4+int(o.CsumOffset):])
	if size <= 0 || !checksum.IsPartial(field, pseudo(ip, v6, proto, len(ip)-l4)) {
		return packet.Offload{}, false
	}
	return o, true
}

const (
	tcpLen      = 20
	tcpChecksum = 16
	udpChecksum = 6
)

// pseudo is the sum of the pseudo-header of n bytes under an IP header.
func pseudo(ip []byte, v6 bool, proto uint8, n int) uint64 {
	if v6 {
		return checksum.Pseudo(ip[8:24], ip[24:40], proto, uint32(n))
	}
	return checksum.Pseudo(ip[12:16], ip[16:20], proto, uint32(n))
}

// innerLen is how long the first tunnel of a train is, by its inner IP header; 0
// if it has none.
func innerLen(tunnel []byte) int {
	const ether = vxlanLen + etherLen
	if len(tunnel) < ether+ipv4Len {
		return 0
	}
	switch ip := tunnel[ether:]; binary.BigEndian.Uint16(tunnel[vxlanLen+12:]) {
	case packet.EtherTypeIPv4:
		return ether + int(binary.BigEndian.Uint16(ip[2:]))
	case packet.EtherTypeIPv6:
		return ether + ipv6Len + int(binary.BigEndian.Uint16(ip[4:]))
	}
	return 0
}
