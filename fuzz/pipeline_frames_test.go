package fuzz

import (
	"encoding/binary"
	"fmt"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// named is a real frame, and the port that it usually comes in by.
type named struct {
	name  string
	port  packet.PortID
	bytes []byte
}

// pool is the frames that programs are made of: the parser's seeds, from A,
// then those of whole conversations. A program names a frame by its number, so
// new ones go to the end.
var pool = makePool()

func makePool() []named {
	var all []named
	for _, s := range packettest.Seeds() {
		all = append(all, named{s.Name, portA, s.Bytes})
	}
	return append(append(all, conversation()...), fromPeers()...)
}

// spec makes a frame of a Spec; from and to are hosts' numbers, family 0 or 1.
func spec(from, to, family int, edit func(*packet.Spec)) []byte {
	all := hosts(0)
	s := packet.Spec{SrcMAC: all[from].mac, DstMAC: all[to].mac, Src: all[from].addrs[family], Dst: all[to].addrs[family]}
	if all[from].segment != all[to].segment {
		s.DstMAC = gatewayMAC
	}
	edit(&s)
	b, err := packet.Build(s)
	if err != nil {
		panic(err)
	}
	return b
}

func tcp(sport, dport uint16, flags uint8, seq, ack uint32, n int) func(*packet.Spec) {
	return func(s *packet.Spec) {
		s.Proto, s.SrcPort, s.DstPort, s.TCPFlags, s.Seq, s.Ack = packet.ProtoTCP, sport, dport, flags, seq, ack
		s.Payload = make([]byte, n)
	}
}

func udp(sport, dport uint16, n int) func(*packet.Spec) {
	return func(s *packet.Spec) {
		s.Proto, s.SrcPort, s.DstPort, s.Payload = packet.ProtoUDP, sport, dport, make([]byte, n)
	}
}

const (
	a, b, c, d, e, f = 0, 1, 2, 3, 4, 5

	syn, ack, fin, rst = packet.TCPSyn, packet.TCPAckFlag, packet.TCPFin, packet.TCPRst
)

// conversation is what hosts of this switch say to one another and to it.
func conversation() []named {
	var all []named
	add := func(name string, port packet.PortID, b []byte) { all = append(all, named{name, port, b}) }
	for family, v := range []string{"4", "6"} {
		add("a_syn"+v, portA, spec(a, b, family, tcp(1024, 443, syn, 100, 0, 0)))
		add("b_syn_ack"+v, portB, spec(b, a, family, tcp(443, 1024, syn|ack, 500, 101, 0)))
		add("a_ack"+v, portA, spec(a, b, family, tcp(1024, 443, ack, 101, 501, 0)))
		add("a_data"+v, portA, spec(a, b, family, tcp(1024, 443, ack, 101, 501, 100)))
		add("b_fin"+v, portB, spec(b, a, family, tcp(443, 1024, fin|ack, 501, 201, 0)))
		add("a_fin"+v, portA, spec(a, b, family, tcp(1024, 443, fin|ack, 201, 502, 0)))
		add("b_last_ack"+v, portB, spec(b, a, family, tcp(443, 1024, ack, 502, 202, 0)))
		add("b_rst"+v, portB, spec(b, a, family, tcp(443, 1024, rst, 501, 0, 0)))
		add("b_syn_back"+v, portB, spec(b, a, family, tcp(443, 1024, syn, 9000, 0, 0)))
		add("b_telnet"+v, portB, spec(b, a, family, tcp(9, 23, syn, 1, 0, 0)))
		add("b_reply_udp"+v, portB, spec(b, a, family, udp(2049, 1024, 9)))
		add("a_udp"+v, portA, spec(a, b, family, udp(1024, 2049, 9)))
		for i, part := range packettest.Parts(spec(a, b, family, udp(1024, 2049, 200)), 80, 77) {
			add(fmt.Sprintf("a_udp_part%d_%s", i, v), portA, part)
		}
		for i, part := range packettest.Parts(spec(a, e, family, udp(7, 8053, 100)), 80, 78) {
			add(fmt.Sprintf("a_to_peer_part%d_%s", i, v), portA, part)
		}
		add("a_telnet_part0_"+v, portA, packettest.Part(spec(a, b, family, udp(1024, 23, 200)), 0, 80, 77))
		add("a_routed"+v, portA, spec(a, c, family, udp(7, 8053, 9)))
		add("a_routed_ttl_1"+v, portA, spec(a, c, family, func(s *packet.Spec) { udp(7, 8053, 9)(s); s.TTL = 1 }))
		add("a_routed_too_big"+v, portA, spec(a, c, family, udp(7, 8053, 1400)))
		add("c_reply"+v, portC, spec(c, a, family, udp(8053, 7, 9)))
		add("a_to_peer"+v, portA, spec(a, e, family, udp(7, 8053, 9)))
		add("d_to_peer"+v, portD, spec(d, f, family, udp(7, 8053, 9)))
		add("d_to_nobody"+v, portD, spec(d, f, family, func(s *packet.Spec) { udp(7, 8053, 9)(s); s.DstMAC[5], s.Dst[15] = 0x99, 0x99 }))
		add("d_to_all"+v, portD, spec(d, f, family, func(s *packet.Spec) {
			udp(7, 8053, 9)(s)
			s.DstMAC, s.Dst = packet.MAC{255, 255, 255, 255, 255, 255}, []packet.Addr{address("10.0.2.255"), address("ff02::1")}[family]
		}))
		add("a_echo_gateway"+v, portA, spec(a, b, family, func(s *packet.Spec) {
			s.DstMAC, s.Dst = gatewayMAC, []packet.Addr{address("10.0.0.254"), address("2001:db8::fe")}[family]
			s.Proto, s.ICMPType = []uint8{packet.ProtoICMP, packet.ProtoICMPv6}[family], []uint8{packet.ICMPEchoRequest, packet.ICMPv6EchoRequest}[family]
		}))
	}
	add("a_speaks_as_e", portA, spec(a, c, 0, func(s *packet.Spec) { udp(7, 8053, 9)(s); s.Src = hosts(0)[e].addrs[0] }))
	add("a_misdirects", portA, spec(a, b, 0, func(s *packet.Spec) { udp(7, 8053, 9)(s); s.Dst = hosts(0)[e].addrs[0] }))
	add("d_behind_c", portD, spec(d, c, 0, func(s *packet.Spec) { udp(7, 8053, 9)(s); s.Dst = address("198.51.100.1") }))
	add("a_arp_gateway", portA, spec(a, b, 0, func(s *packet.Spec) { s.ARP, s.Dst = packet.ARPRequest, address("10.0.0.254") }))
	add("d_arp_nobody", portD, spec(d, f, 0, func(s *packet.Spec) {
		s.ARP, s.DstMAC, s.Dst = packet.ARPRequest, packet.MAC{255, 255, 255, 255, 255, 255}, address("10.0.2.99")
	}))
	return all
}

// fromPeers is what comes by the uplink: address resolution, and tunnels.
func fromPeers() []named {
	var all []named
	add := func(name string, b []byte) { all = append(all, named{name, uplink, b}) }
	under := func(family int, edit func(*packet.Spec)) []byte {
		s := packet.Spec{SrcMAC: peerMAC, DstMAC: uplinkMAC, Src: peers[family], Dst: vtep[family]}
		edit(&s)
		b, err := packet.Build(s)
		if err != nil {
			panic(err)
		}
		return b
	}
	add("peer_arp_answer", under(0, func(s *packet.Spec) { s.ARP = packet.ARPReply }))
	add("peer_arp_question", under(0, func(s *packet.Spec) { s.ARP = packet.ARPRequest }))
	advertise := func(s *packet.Spec) {
		s.Proto, s.ICMPType, s.Target = packet.ProtoICMPv6, packet.NDNeighbourAdvertisement, peers[1]
	}
	add("peer_nd_answer", under(1, advertise))
	question := func(s *packet.Spec) {
		s.Proto, s.ICMPType, s.Target = packet.ProtoICMPv6, packet.NDNeighbourSolicitation, vtep[1]
	}
	add("peer_nd_question", under(1, question))
	for family, v := range []string{"4", "6"} {
		add("e_to_a"+v, tunnel(0, 100, spec(e, a, family, udp(7, 8053, 9))))
		add("e_reply"+v, tunnel(0, 100, spec(e, a, family, udp(8053, 7, 9))))
		add("f_to_all"+v, tunnel(1, 102, spec(f, d, family, func(s *packet.Spec) {
			udp(7, 8053, 9)(s)
			s.DstMAC, s.Dst = packet.MAC{255, 255, 255, 255, 255, 255}, []packet.Addr{address("10.0.2.255"), address("ff02::1")}[family]
		})))
		add("stranger_to_d"+v, tunnel(1, 102, spec(f, d, family, func(s *packet.Spec) { udp(7, 8053, 9)(s); s.SrcMAC[5], s.Src[15] = 0x99, 0x99 })))
		add("tunnel_in_tunnel"+v, tunnel(0, 100, tunnel(0, 100, spec(e, a, family, udp(7, 8053, 9)))))
	}
	add("e_by_way_of_us", tunnel(0, 100, spec(e, a, 0, func(s *packet.Spec) {
		udp(7, 8053, 9)(s)
		s.DstMAC, s.Dst = hosts(0)[e].mac, hosts(0)[e].addrs[0]
	})))
	add("f_arp_for_d", tunnel(1, 102, spec(f, d, 0, func(s *packet.Spec) { s.ARP = packet.ARPRequest })))
	return all
}

// tunnel puts a frame into a tunnel from a peer to us.
func tunnel(peer int, vni uint32, inner []byte) []byte {
	header := []byte{8, 0, 0, 0, byte(vni >> 16), byte(vni >> 8), byte(vni), 0}
	b, err := packet.Build(packet.Spec{
		SrcMAC: peerMAC, DstMAC: uplinkMAC, Src: peers[peer], Dst: vtep[peer],
		Proto: packet.ProtoUDP, SrcPort: 50000, DstPort: 4789, Payload: append(header, inner...),
	})
	if err != nil {
		panic(err)
	}
	return b
}

// repair makes the checksums of a frame right again after bytes of it were
// changed, so that what is behind them is reached. What does not parse stays.
func repair(b []byte) {
	if len(b) < 34 {
		return
	}
	if ip := b[14:]; binary.BigEndian.Uint16(b[12:]) == packet.EtherTypeIPv4 {
		size := min(max(int(ip[0]&15)*4, 20), len(ip))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], checksum.Of(ip[:size], 0))
	}
	f := packet.NewFrame(b, 0)
	if packet.Parse(f) != drop.None || f.Headers.Kind == packet.KindARP || f.Headers.Kind == packet.KindFragment {
		return
	}
	h := &f.Headers
	at, pseudo := 16, packet.PseudoSum(h, h.PacketEnd-uint32(h.L4))
	switch h.Key.Proto {
	case packet.ProtoTCP:
	case packet.ProtoUDP:
		at = 6
	case packet.ProtoICMPv6:
		at = 2
	case packet.ProtoICMP:
		at, pseudo = 2, 0
	default:
		return
	}
	p := b[h.L4:h.PacketEnd]
	p[at], p[at+1] = 0, 0
	binary.BigEndian.PutUint16(p[at:], checksum.Of(p, pseudo))
}
