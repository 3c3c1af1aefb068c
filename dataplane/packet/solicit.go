package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// solicitRoom is the memory, in bytes from Frame.Start, that a question needs:
// a neighbour solicitation with its option.
const solicitRoom = ethernetLen + ipv6Len + ndTargetEnd + 8

// Solicit makes f, whatever it held, a question by mac and from for the MAC of
// target, an address of from's family: ARP for IPv4, a neighbour solicitation
// for IPv6 (RFC 4861 7.2.2). It returns false if the memory is too small or the
// families are two.
func Solicit(f *Frame, mac MAC, from, target *Addr) bool {
	if len(f.Buf)-int(f.Start) < solicitRoom || from.Is4() != target.Is4() {
		return false
	}
	if from.Is4() {
		solicitARP(f, mac, from, target)
	} else {
		solicitND(f, mac, from, target)
	}
	f.Offload = Offload{}
	return Parse(f) == drop.None
}

func solicitARP(f *Frame, mac MAC, from, target *Addr) {
	f.End = f.Start + ethernetLen + arpLen
	b := f.Bytes()
	clear(b)
	copy(b, "\xff\xff\xff\xff\xff\xff")
	copy(b[6:], mac[:])
	binary.BigEndian.PutUint16(b[12:], EtherTypeARP)
	copy(b[14:], "\x00\x01\x08\x00\x06\x04\x00\x01")
	copy(b[22:], mac[:])
	copy(b[28:], from[12:])
	copy(b[38:], target[12:])
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
