package packettest

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Seed is a frame with a name and what Parse must say of it.
type Seed struct {
	Name   string
	Bytes  []byte
	Reason drop.Reason
}

// Seeds returns a frame for each situation that Parse tells apart, legal ones
// first. Each call makes them anew.
func Seeds() []Seed {
	return slices.Concat(linkSeeds(), ipSeeds(), fragmentSeeds(), transportSeeds(), icmpSeeds(), ndSeeds())
}

func linkSeeds() []Seed {
	syn := func(below ...Layer) []byte {
		return Make(append(below, IPv4(A4, B4), TCP(1024, 443, packet.TCPSyn))...)
	}
	qinq := Ethernet()
	qinq.EthernetType = packet.EtherTypeQinQ
	from := func(mac packet.MAC) *layers.Ethernet { e := Ethernet(); e.SrcMAC = hw(mac); return e }
	to := func(mac packet.MAC) *layers.Ethernet { e := Ethernet(); e.DstMAC = hw(mac); return e }
	typed := func(kind uint16) []byte {
		b := syn(Ethernet())
		binary.BigEndian.PutUint16(b[12:], kind)
		return b
	}
	arp := func(at int, v byte) []byte {
		b := Make(Ethernet(), ARP(1, A4, B4))
		b[at] = v
		return b
	}
	return []Seed{
		{"tcp4_syn", syn(Ethernet()), drop.None},
		{"one_tag", syn(Ethernet(), Tag(7)), drop.None},
		{"two_tags_qinq", syn(qinq, Tag(7), Tag(8)), drop.None},
		{"three_tags", syn(Ethernet(), Tag(7), Tag(8), Tag(9)), drop.VLANDepth},
		{"tag_without_ethertype", syn(Ethernet(), Tag(7))[:16], drop.Runt},
		{"runt", syn(Ethernet())[:13], drop.Runt},
		{"empty", nil, drop.Runt},
		{"source_is_multicast", syn(from(packet.MAC{1, 0, 0x5e, 0, 0, 1})), drop.BadMAC},
		{"source_is_broadcast", syn(from(packet.MAC{255, 255, 255, 255, 255, 255})), drop.BadMAC},
		{"source_is_zero", syn(from(packet.MAC{})), drop.BadMAC},
		{"bridge_group_first", syn(to(packet.MAC{1, 0x80, 0xc2, 0, 0, 0})), drop.LinkLocalMAC},
		{"bridge_group_last", syn(to(packet.MAC{1, 0x80, 0xc2, 0, 0, 15})), drop.LinkLocalMAC},
		{"behind_bridge_group", syn(to(packet.MAC{1, 0x80, 0xc2, 0, 0, 16})), drop.None},
		{"llc", typed(40), drop.LLC},
		{"llc_highest_length", typed(0x05ff), drop.LLC},
		{"ethertype_lowest", typed(0x0600), drop.EtherType},
		{"mpls", typed(0x8847), drop.EtherType},
		{"old_qinq_9100", typed(0x9100), drop.EtherType},
		{"arp_request", arp(21, 1), drop.None},
		{"arp_reply", arp(21, 2), drop.None},
		{"arp_op_rarp", arp(21, 3), drop.BadARP},
		{"arp_op_zero", arp(21, 0), drop.BadARP},
		{"arp_hardware_not_ethernet", arp(15, 6), drop.BadARP},
		{"arp_protocol_not_ipv4", arp(17, 6), drop.BadARP},
		{"arp_mac_of_8_bytes", arp(18, 8), drop.BadARP},
		{"arp_address_of_16_bytes", arp(19, 16), drop.BadARP},
		{"arp_truncated", arp(21, 1)[:41], drop.BadARP},
	}
}

// ipv4Options is a SYN under an IPv4 header with options, padded.
func ipv4Options(b ...byte) []byte {
	ip := IPv4(A4, B4)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	// gopacket writes an option of type 0 and 1 as one byte, so the bytes are
	// put into a header that was made with room for them, and summed anew.
	for range b {
		ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 1, OptionLength: 1})
	}
	frame := Make(Ethernet(), ip, TCP(1024, 443, packet.TCPSyn))
	copy(frame[34:], b)
	return sumIPv4(frame)
}

// sumIPv4 writes the IPv4 header checksum of an untagged frame anew.
func sumIPv4(frame []byte) []byte {
	ip := frame[14:]
	size := min(int(ip[0]&15)*4, len(ip))
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^slowSum(0, ip[:size]))
	return frame
}

// extensions is a SYN under IPv6 behind a chain of extension headers, each of
// a type and so many units of 8 bytes.
func extensions(chain ...[2]byte) []byte {
	ip := IPv6(A6, B6)
	if len(chain) == 0 {
		return Make(Ethernet(), ip, TCP(1024, 443, packet.TCPSyn))
	}
	segment := Make(Ethernet(), IPv6(A6, B6), TCP(1024, 443, packet.TCPSyn))[54:]
	ip.NextHeader = layers.IPProtocol(chain[0][0])
	var body []byte
	for i, ext := range chain {
		next := byte(packet.ProtoTCP)
		if i+1 < len(chain) {
			next = chain[i+1][0]
		}
		header := make([]byte, int(ext[1])*8)
		header[0], header[1] = next, ext[1]-1
		if ext[0] == 44 {
			header[1] = 0 // reserved; an atomic fragment
		} else if len(header) > 2 {
			header[2], header[3] = 1, byte(len(header)-4) // PadN
		}
		body = append(body, header...)
	}
	return Make(Ethernet(), ip, Raw(append(body, segment...)...))
}

func ipSeeds() []Seed {
	edit4 := func(at int, v byte) []byte {
		b := Make(Ethernet(), IPv4(A4, B4), TCP(1024, 443, packet.TCPSyn))
		b[14+at] = v
		return sumIPv4(b)
	}
	edit6 := func(at int, v byte) []byte {
		b := extensions()
		b[14+at] = v
		return b
	}
	// A destination header whose 22 bytes of options begin with b.
	option := func(b ...byte) []byte {
		frame := extensions([2]byte{60, 3})
		clear(frame[56:78])
		copy(frame[56:78], b)
		return frame
	}
	badSum := edit4(8, 64)
	badSum[24] ^= 1
	from6 := func(src string) []byte {
		return Make(Ethernet(), IPv6(netip.MustParseAddr(src), B6), TCP(1024, 443, packet.TCPSyn))
	}
	return []Seed{
		{"ipv4_version_5", edit4(0, 0x55), drop.BadIPv4},
		{"ipv4_header_of_16_bytes", edit4(0, 0x44), drop.BadIPv4},
		{"ipv4_header_longer_than_packet", edit4(0, 0x4f), drop.BadIPv4},
		{"ipv4_total_shorter_than_header", edit4(3, 19), drop.BadIPv4},
		{"ipv4_total_longer_than_frame", edit4(3, 41), drop.BadIPv4},
		{"ipv4_total_zero", edit4(3, 0), drop.BadIPv4},
		{"ipv4_checksum_wrong", badSum, drop.BadIPv4Checksum},
		{"ipv4_more_fragments", edit4(6, 0x20), drop.Fragment},
		{"ipv4_last_fragment", edit4(7, 1), drop.Fragment},
		{"ipv4_fragment_at_32_KiB", edit4(6, 0x10), drop.Fragment},
		{"ipv4_reserved_flag", edit4(6, 0x80), drop.None},
		{"ipv4_gre", edit4(9, 47), drop.None},
		{"ipv4_esp", edit4(9, 50), drop.None},
		{"ipv4_icmpv6", edit4(9, packet.ProtoICMPv6), drop.BadTransport},
		{"ipv4_router_alert", ipv4Options(148, 4, 0, 0), drop.None},
		{"ipv4_nop_and_end", ipv4Options(1, 1, 1, 0), drop.None},
		{"ipv4_loose_source_route", ipv4Options(131, 7, 4, 10, 0, 0, 9), drop.IPv4Options},
		{"ipv4_strict_source_route_behind_nop", ipv4Options(1, 137, 7, 4, 10, 0, 0, 9), drop.IPv4Options},
		{"ipv4_option_length_zero", ipv4Options(7, 0), drop.IPv4Options},
		{"ipv4_option_length_one", ipv4Options(7, 1), drop.IPv4Options},
		{"ipv4_option_too_long", ipv4Options(7, 5, 4, 0), drop.IPv4Options},
		{"ipv4_option_without_length", ipv4Options(1, 1, 1, 7), drop.IPv4Options},

		{"tcp6_syn", extensions(), drop.None},
		{"ipv6_version_4", edit6(0, 0x40), drop.BadIPv6},
		{"ipv6_payload_longer_than_frame", edit6(5, 21), drop.BadIPv6},
		{"ipv6_payload_shorter_than_tcp", edit6(5, 19), drop.BadTransport},
		{"ipv6_no_payload", edit6(5, 0), drop.BadTransport},
		{"ipv6_hop_by_hop", extensions([2]byte{0, 1}), drop.None},
		{"ipv6_hop_by_hop_then_destination", extensions([2]byte{0, 1}, [2]byte{60, 2}), drop.None},
		{"ipv6_hop_by_hop_second", extensions([2]byte{60, 1}, [2]byte{0, 1}), drop.IPv6Extension},
		{"ipv6_eight_extensions", extensions(slices.Repeat([][2]byte{{60, 1}}, 8)...), drop.None},
		{"ipv6_nine_extensions", extensions(slices.Repeat([][2]byte{{60, 1}}, 9)...), drop.IPv6Extension},
		{"ipv6_extensions_of_256_bytes", extensions([2]byte{60, 32}), drop.None},
		{"ipv6_extensions_of_264_bytes", extensions([2]byte{60, 33}), drop.IPv6Extension},
		{"ipv6_option_unknown", option(0x1e, 20), drop.None},
		{"ipv6_option_pad1", option(0, 0, 0, 1, 17), drop.None},
		{"ipv6_option_too_long", option(0x1e, 21), drop.IPv6Extension},
		{"ipv6_option_without_length", option([]byte{1, 19, 21: 5}...), drop.IPv6Extension},
		{"ipv6_home_address", option(0xc9, 16), drop.IPv6Extension},
		{"ipv6_jumbo_payload", option(0xc2, 4), drop.IPv6Extension},
		{"ipv6_routing_header_0", extensions([2]byte{43, 3}), drop.IPv6Extension},
		{"ipv6_atomic_fragment", extensions([2]byte{44, 1}), drop.Fragment},
		{"ipv6_fragment_behind_destination", extensions([2]byte{60, 1}, [2]byte{44, 1}), drop.Fragment},
		{"ipv6_authentication_header", extensions([2]byte{51, 2}), drop.None},
		{"ipv6_esp", edit6(6, 50), drop.None},
		{"ipv6_esp_behind_destination", extensions([2]byte{60, 1}, [2]byte{50, 1}), drop.None},
		{"ipv6_experiment_254", edit6(6, 254), drop.IPv6Extension},
		{"ipv6_hip", extensions([2]byte{139, 1}), drop.IPv6Extension},
		{"ipv6_shim6", extensions([2]byte{140, 1}), drop.IPv6Extension},
		{"ipv6_mobility", extensions([2]byte{135, 1}), drop.IPv6Extension},
		{"ipv6_no_next_header", edit6(6, 59), drop.IPv6Extension},
		{"ipv6_experiment", edit6(6, 253), drop.IPv6Extension},
		{"ipv6_icmp_of_ipv4", edit6(6, packet.ProtoICMP), drop.BadTransport},
		{"ipv6_gre", edit6(6, 47), drop.None},
		{"ipv6_from_unspecified", from6("::"), drop.None},
		{"ipv6_from_compatible", from6("::10.0.0.1"), drop.Martian},
		{"ipv6_to_mapped", mapped(), drop.Martian},
	}
}

// mapped is a SYN over IPv6 to ::ffff:10.0.0.2, which gopacket does not write.
func mapped() []byte {
	b := extensions()
	a := packet.AddrFrom4([4]byte{10, 0, 0, 2})
	copy(b[38:54], a[:])
	return b
}

func transportSeeds() []Seed {
	edit := func(above Layer, at int, v byte) []byte {
		b := Make(Ethernet(), IPv4(A4, B4), above, Payload(8))
		b[34+at] = v
		return b
	}
	short := func(proto byte, n int) []byte {
		ip := IPv4(A4, B4)
		ip.Protocol = layers.IPProtocol(proto)
		return Make(Ethernet(), ip, Payload(n))
	}
	tcp := func() Layer { return TCP(1024, 443, packet.TCPSyn) }
	return []Seed{
		{"tcp_truncated", short(packet.ProtoTCP, 19), drop.BadTransport},
		{"tcp_offset_4", edit(tcp(), 12, 4<<4), drop.BadTransport},
		{"tcp_offset_behind_packet", edit(tcp(), 12, 8<<4), drop.BadTransport},
		{"tcp_offset_to_the_end", edit(tcp(), 12, 7<<4), drop.None},
		{"tcp6_data", Make(Ethernet(), IPv6(A6, B6), TCP(1024, 443, packet.TCPAckFlag|packet.TCPPsh), Payload(101)), drop.None},
		{"udp4", edit(UDP(1024, 2049), 0, 4), drop.None},
		{"udp6", Make(Ethernet(), IPv6(A6, B6), UDP(1024, 2049), Payload(9)), drop.None},
		{"udp_truncated", short(packet.ProtoUDP, 7), drop.BadTransport},
		{"udp_length_7", edit(UDP(1024, 2049), 5, 7), drop.BadTransport},
		{"udp_length_shorter_than_payload", edit(UDP(1024, 2049), 5, 15), drop.BadTransport},
		{"udp_length_longer_than_payload", edit(UDP(1024, 2049), 5, 17), drop.BadTransport},
		{"udp_length_zero", edit(UDP(1024, 2049), 5, 0), drop.BadTransport},
		{"sctp4", Make(Ethernet(), IPv4(A4, B4), SCTP(1024, 3868), Payload(8)), drop.None},
		{"sctp6", Make(Ethernet(), IPv6(A6, B6), SCTP(1024, 3868), Payload(8)), drop.None},
		{"sctp_truncated", short(packet.ProtoSCTP, 11), drop.BadTransport},
		{"vxlan4", Make(Ethernet(), IPv4(A4, B4), UDP(5000, 4789), VXLAN(5), Ethernet(), IPv6(A6, B6), tcp()), drop.None},
		{"vxlan6", Make(Ethernet(), IPv6(A6, B6), UDP(5000, 4789), VXLAN(5), Ethernet(), IPv4(A4, B4), UDP(1, 2)), drop.None},
	}
}

// Quote returns the IP packet of an untagged frame, for an ICMP error.
func Quote(frame []byte, n int) []byte { return frame[14:][:min(n, len(frame)-14)] }

// icmp6 is an ICMPv6 message: 4 bytes of header and what follows.
func icmp6(kind, code uint8, body []byte) []byte {
	return Make(Ethernet(), IPv6(A6, B6), ICMPv6(kind, code), Raw(body...))
}

func icmpSeeds() []Seed {
	tcp4 := Make(Ethernet(), IPv4(B4, A4), TCP(443, 1024, packet.TCPAckFlag), Payload(40))
	tcp6 := Make(Ethernet(), IPv6(B6, A6), TCP(443, 1024, packet.TCPAckFlag), Payload(40))
	echo4 := Make(Ethernet(), IPv4(B4, A4), ICMP(8, 0, 77, 1), Payload(8))
	err4 := Make(Ethernet(), IPv4(B4, A4), ICMP(3, 1, 0, 0), Raw(Quote(tcp4, 28)...))
	frag4 := slices.Clone(tcp4)
	frag4[21] = 1
	error4 := func(kind, code uint8, quote []byte) []byte {
		return Make(Ethernet(), IPv4(A4, B4), ICMP(kind, code, 0, 0), Raw(quote...))
	}
	error6 := func(kind, code uint8, quote []byte) []byte {
		return icmp6(kind, code, append(make([]byte, 4), quote...))
	}
	return []Seed{
		{"icmp_echo_request", Make(Ethernet(), IPv4(A4, B4), ICMP(8, 0, 77, 1), Payload(56)), drop.None},
		{"icmp_echo_reply", Make(Ethernet(), IPv4(A4, B4), ICMP(0, 0, 77, 1), Payload(56)), drop.None},
		{"icmp_timestamp", Make(Ethernet(), IPv4(A4, B4), ICMP(13, 0, 77, 1), Payload(12)), drop.None},
		{"icmp_redirect", error4(5, 1, Quote(tcp4, 28)), drop.None},
		{"icmp_unreachable", error4(3, 3, Quote(tcp4, 28)), drop.None},
		{"icmp_fragmentation_needed", error4(3, 4, Quote(tcp4, 576)), drop.None},
		{"icmp_time_exceeded_of_echo", error4(11, 0, Quote(echo4, 28)), drop.None},
		{"icmp_quote_of_7_bytes", error4(3, 3, Quote(tcp4, 27)), drop.BadTransport},
		{"icmp_quote_missing", error4(3, 3, nil), drop.BadTransport},
		{"icmp_quote_of_ipv6", error4(3, 3, Quote(tcp6, 60)), drop.BadTransport},
		{"icmp_quote_of_an_error", error4(3, 3, Quote(err4, 60)), drop.BadTransport},
		{"icmp_quote_of_later_fragment", error4(3, 3, Quote(frag4, 60)), drop.BadTransport},
		{"icmpv6_echo_request", icmp6(128, 0, append([]byte{0, 77, 0, 1}, Payload(56)...)), drop.None},
		{"icmpv6_echo_reply", icmp6(129, 0, append([]byte{0, 77, 0, 1}, Payload(56)...)), drop.None},
		{"icmpv6_truncated", icmp6(128, 0, []byte{0, 77, 0}), drop.BadTransport},
		{"icmpv6_listener_report", icmp6(143, 0, make([]byte, 4)), drop.None},
		{"icmpv6_too_big", error6(2, 0, Quote(tcp6, 1232)), drop.None},
		{"icmpv6_unreachable", error6(1, 4, Quote(tcp6, 48)), drop.None},
		{"icmpv6_quote_of_7_bytes", error6(1, 4, Quote(tcp6, 47)), drop.BadTransport},
		{"icmpv6_quote_of_ipv4", error6(1, 4, Quote(tcp4, 60)), drop.BadTransport},
		{"icmpv6_quote_of_an_error", error6(1, 4, Quote(error6(1, 4, Quote(tcp6, 48)), 120)), drop.BadTransport},
	}
}

// ND is a neighbour discovery message; body is what follows the checksum.
func ND(kind uint8, src, dst netip.Addr, hops uint8, body ...byte) []byte {
	ip := IPv6(src, dst)
	ip.HopLimit = hops
	return Make(Ethernet(), ip, ICMPv6(kind, 0), Raw(body...))
}

func ndSeeds() []Seed {
	group := netip.MustParseAddr("ff02::1:ff00:2")
	all := netip.MustParseAddr("ff02::1")
	none := netip.IPv6Unspecified()
	target := B6.AsSlice()
	source := append([]byte{1, 1}, MACA[:]...)
	linked := append([]byte{2, 1}, MACA[:]...)
	other := append([]byte{1, 1}, MACB[:]...)
	flags := func(b byte) []byte { return []byte{b, 0, 0, 0} }
	cat := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	code := ND(135, A6, group, 255, cat(flags(0), target, source)...)
	code[55] = 1
	return []Seed{
		{"nd_solicitation", ND(135, A6, group, 255, cat(flags(0), target, source)...), drop.None},
		{"nd_solicitation_without_option", ND(135, A6, B6, 255, cat(flags(0), target)...), drop.None},
		{"nd_duplicate_detection", ND(135, none, group, 255, cat(flags(0), target)...), drop.None},
		{"nd_advertisement", ND(136, A6, B6, 255, cat(flags(0x60), A6.AsSlice(), linked)...), drop.None},
		{"nd_advertisement_to_all", ND(136, A6, all, 255, cat(flags(0x20), A6.AsSlice(), linked)...), drop.None},
		{"nd_router_solicitation", ND(133, A6, all, 255, cat(flags(0), source)...), drop.None},
		{"nd_router_advertisement", ND(134, A6, all, 255, make([]byte, 12)...), drop.None},
		{"nd_redirect", ND(137, A6, B6, 255, cat(flags(0), target, target)...), drop.None},
		{"nd_hop_limit_254", ND(135, A6, group, 254, cat(flags(0), target, source)...), drop.BadNDP},
		{"nd_code_1", code, drop.BadNDP},
		{"nd_target_truncated", ND(135, A6, group, 255, cat(flags(0), target[:15])...), drop.BadNDP},
		{"nd_target_is_multicast", ND(135, A6, group, 255, cat(flags(0), all.AsSlice())...), drop.BadNDP},
		{"nd_option_length_zero", ND(135, A6, group, 255, cat(flags(0), target, []byte{1, 0, 0, 0, 0, 0, 0, 0})...), drop.BadNDP},
		{"nd_option_behind_packet", ND(135, A6, group, 255, cat(flags(0), target, []byte{14, 2, 0, 0, 0, 0, 0, 0})...), drop.BadNDP},
		{"nd_option_of_7_bytes", ND(135, A6, group, 255, cat(flags(0), target, source[:7])...), drop.BadNDP},
		{"nd_link_addresses_disagree", ND(135, A6, group, 255, cat(flags(0), target, source, other)...), drop.BadNDP},
		{"nd_link_address_of_16_bytes", ND(135, A6, group, 255, cat(flags(0), target, append([]byte{1, 2}, make([]byte, 14)...))...), drop.BadNDP},
		{"nd_seventeen_options", ND(135, A6, group, 255, cat(flags(0), target, slices.Repeat([]byte{14, 1, 0, 0, 0, 0, 0, 0}, 17))...), drop.BadNDP},
		{"nd_duplicate_detection_with_option", ND(135, none, group, 255, cat(flags(0), target, source)...), drop.BadNDP},
		{"nd_duplicate_detection_to_host", ND(135, none, B6, 255, cat(flags(0), target)...), drop.BadNDP},
		{"nd_router_solicitation_from_nobody_with_option", ND(133, none, all, 255, cat(flags(0), source)...), drop.BadNDP},
		{"nd_solicited_advertisement_to_all", ND(136, A6, all, 255, cat(flags(0x40), A6.AsSlice(), linked)...), drop.BadNDP},
	}
}
