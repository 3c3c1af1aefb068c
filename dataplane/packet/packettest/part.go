package packettest

import (
	"encoding/binary"
	"slices"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// Part cuts the bytes from to to out of what an untagged IP frame carries behind
// its IP header, as a fragment of packet number id (RFC 791 3.2, RFC 8200 4.5).
// It says that more follow, unless to is where the packet ends. What no sender
// would make is made as asked.
func Part(frame []byte, from, to int, id uint32) []byte {
	const link, header4, header6 = 14, 20, 40
	if binary.BigEndian.Uint16(frame[12:]) == 0x0800 {
		payload := frame[link+header4:]
		f := append(slices.Clone(frame[:link+header4]), payload[from:min(to, len(payload))]...)
		ip := f[link:]
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		binary.BigEndian.PutUint16(ip[4:], uint16(id))
		binary.BigEndian.PutUint16(ip[6:], uint16(from/8)|uint16(more(to, len(payload)))<<13)
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], checksum.Of(ip[:header4], 0))
		return f
	}
	payload := frame[link+header6:]
	f := slices.Clone(frame[:link+header6])
	ip := f[link:]
	part := []byte{ip[6], 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(part[2:], uint16(from)|uint16(more(to, len(payload))))
	binary.BigEndian.PutUint32(part[4:], id)
	ip[6] = 44
	f = append(append(f, part...), payload[from:min(to, len(payload))]...)
	binary.BigEndian.PutUint16(f[link+4:], uint16(len(f)-link-header6))
	return f
}

func more(to, end int) int {
	if to < end {
		return 1
	}
	return 0
}

// Parts cuts a frame into fragments of size bytes, in order.
func Parts(frame []byte, size int, id uint32) (parts [][]byte) {
	end := len(frame) - 14 - 20
	if binary.BigEndian.Uint16(frame[12:]) != 0x0800 {
		end -= 20
	}
	for at := 0; at < end; at += size {
		parts = append(parts, Part(frame, at, min(at+size, end), id))
	}
	return parts
}

// fragmentSeeds are parts of datagrams of 200 bytes and of echo requests.
func fragmentSeeds() []Seed {
	udp4 := Make(Ethernet(), IPv4(A4, B4), UDP(1024, 53), Payload(192))
	udp6 := Make(Ethernet(), IPv6(A6, B6), UDP(1024, 53), Payload(192))
	echo4 := Make(Ethernet(), IPv4(A4, B4), ICMP(8, 0, 77, 1), Payload(192))
	echo6 := Make(Ethernet(), IPv6(A6, B6), ICMPv6(128, 0), Raw(append([]byte{0, 77, 0, 1}, make([]byte, 192)...)...))
	edit := func(b []byte, at int, v ...byte) []byte {
		copy(b[at:], v)
		if b[12] == 8 {
			return sumIPv4(b)
		}
		return b
	}
	const ip4, ip6 = 14, 14 + 40 // where the IPv4 header begins, where IPv6's fragment header does
	return []Seed{
		{"ipv4_first_of_udp", Part(udp4, 0, 64, 9), drop.None},
		{"ipv4_middle_of_udp", Part(udp4, 64, 128, 9), drop.None},
		{"ipv4_last_of_udp", Part(udp4, 128, 200, 9), drop.None},
		{"ipv4_first_of_udp_is_its_header", Part(udp4, 0, 8, 9), drop.None},
		{"ipv4_first_of_udp_without_its_header", edit(Part(udp4, 0, 8, 9)[:38], ip4+2, 0, 24), drop.Fragment},
		{"ipv4_first_of_udp_is_longer_than_all", edit(Part(udp4, 0, 64, 9), ip4+20+4, 0, 64), drop.Fragment},
		{"ipv4_part_of_odd_length", Part(udp4, 64, 127, 9), drop.Fragment},
		{"ipv4_empty_part", Part(udp4, 64, 64, 9), drop.Fragment},
		{"ipv4_part_up_to_65535", edit(Part(udp4, 177, 200, 9), ip4+6, 0x1f, 0xfd), drop.None},
		{"ipv4_part_beyond_65535", edit(Part(udp4, 176, 200, 9), ip4+6, 0x1f, 0xfd), drop.Fragment},
		{"ipv4_first_of_echo", Part(echo4, 0, 64, 9), drop.None},
		{"ipv4_first_of_an_error", edit(Part(echo4, 0, 64, 9), ip4+20, 3), drop.Fragment},
		{"ipv6_first_of_udp", Part(udp6, 0, 64, 9), drop.None},
		{"ipv6_last_of_udp", Part(udp6, 64, 200, 9), drop.None},
		{"ipv6_first_of_echo", Part(echo6, 0, 64, 9), drop.None},
		{"ipv6_first_of_a_solicitation", edit(Part(echo6, 0, 64, 9), ip6+8, 135), drop.Fragment},
		{"ipv6_fragment_in_fragment", edit(Part(udp6, 0, 64, 9), ip6, 44), drop.IPv6Extension},
		{"ipv6_fragment_of_hop_by_hop", edit(Part(udp6, 0, 64, 9), ip6, 0), drop.IPv6Extension},
		{"ipv6_fragment_of_a_destination_header", edit(Part(udp6, 0, 64, 9), ip6, 60), drop.IPv6Extension},
	}
}
