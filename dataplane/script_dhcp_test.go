package dataplane_test

import (
	"encoding/binary"
	"net"
	"strings"

	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// dhcpKinds are the messages of clients, by name.
var dhcpKinds = map[string]uint8{
	"discover": packet.DHCPDiscover, "request": packet.DHCPRequest, "decline": packet.DHCPDecline, "release": packet.DHCPRelease, "inform": packet.DHCPInform,
	"solicit": packet.DHCP6Solicit, "request6": packet.DHCP6Request, "confirm": packet.DHCP6Confirm, "renew": packet.DHCP6Renew, "rebind": packet.DHCP6Rebind,
	"release6": packet.DHCP6Release, "information": packet.DHCP6InformationRequest,
}

// question writes a client's question:
//
//	dhcp KIND [broadcast] [want=ADDR] [server=ADDR] [client=ADDR] [via=ADDR] [hw=MAC] [relay]
//	dhcp6 KIND [rapid] [addr=ADDR] [server] [src=ADDR]
func (w *world) question(ingress string, vni uint32, text string) (sent, error) {
	x := writing{newLine(text), w, ingress, vni}
	spec := packet.Spec{Proto: packet.ProtoUDP}
	if x.word() == "dhcp" {
		x.dhcp(&spec)
	} else {
		x.dhcp6(&spec)
	}
	if n := x.number("cut", 0); n != 0 {
		spec.Payload = spec.Payload[:n]
	}
	return x.build(spec)
}

func (x *writing) dhcp(s *packet.Spec) {
	kind := dhcpKinds[x.word()]
	s.SrcPort, s.DstPort, s.Dst = 68, 67, packet.AddrFrom(x.addr("255.255.255.255"))
	ip := func(name string) net.IP {
		if a := x.opt(name); a != "" {
			return x.addr(a).AsSlice()
		}
		return nil
	}
	broadcast, relay := x.flag("broadcast"), x.flag("relay")
	client := ip("client")
	s.Src = packet.AddrFrom(x.addr("0.0.0.0"))
	if client != nil {
		s.Src = packet.AddrFrom4([4]byte(client))
	} else {
		client = net.IPv4zero.To4()
	}
	if via := ip("via"); via != nil {
		s.Dst = packet.AddrFrom4([4]byte(via))
	}
	var options []layers.DHCPOption
	if want := ip("want"); want != nil {
		options = append(options, layers.NewDHCPOption(layers.DHCPOptRequestIP, want))
	}
	if server := ip("server"); server != nil {
		options = append(options, layers.NewDHCPOption(layers.DHCPOptServerID, server))
	}
	if id := x.opt("id"); id != "" {
		options = append(options, layers.NewDHCPOption(layers.DHCPOptClientID, []byte(id)))
	}
	s.SrcMAC, s.DstMAC = x.macs(s)
	mac := s.SrcMAC
	if hw := x.opt("hw"); hw != "" {
		mac = x.mac(hw)
	}
	b, err := packettest.DHCP(mac, kind, 7, broadcast, client, options...)
	if err != nil {
		x.fail("%v", err)
	}
	if relay {
		b[24] = 10
	}
	s.Payload = b
}

func (x *writing) dhcp6(s *packet.Spec) {
	kind := dhcpKinds[x.word()]
	s.SrcPort, s.DstPort, s.Dst = 546, 547, packet.AllDHCP6
	s.SrcMAC, s.DstMAC = x.macs(s)
	s.Src = packet.LinkLocal(s.SrcMAC)
	if src := x.opt("src"); src != "" {
		s.Src = packet.AddrFrom(x.addr(src))
	}
	options := []layers.DHCPv6Option{layers.NewDHCPv6Option(layers.DHCPv6OptClientID, append([]byte{0, 3, 0, 1}, s.SrcMAC[:]...))}
	if x.flag("rapid") {
		options = append(options, layers.NewDHCPv6Option(layers.DHCPv6OptRapidCommit, nil))
	}
	if x.flag("server") {
		options = append(options, layers.NewDHCPv6Option(layers.DHCPv6OptServerID, append([]byte{0, 3, 0, 1}, gatewayMAC[:]...)))
	}
	if a := x.opt("addr"); a != "" || kind == packet.DHCP6Solicit {
		ia := []byte{0, 0, 0, 9, 11: 0}
		if a != "" {
			ia = append(ia, 0, 5, 0, 24)
			ia = append(ia, x.addr(a).AsSlice()...)
			ia = append(ia, make([]byte, 8)...)
		}
		options = append(options, layers.NewDHCPv6Option(layers.DHCPv6OptIANA, ia))
	}
	s.Payload = packettest.DHCP6(kind, 0x070809, options...)
}

// told writes what an answer tells a workload of itself.
func told(f *packet.Frame) string {
	h := &f.Headers
	p := f.Bytes()
	switch {
	case h.Kind == packet.KindND && h.ICMPType == packet.NDRouterAdvertisement:
		return " " + packettest.DescribeRA(p)
	case h.Kind != packet.KindIP || h.Key.Proto != packet.ProtoUDP:
	case h.Key.SrcPort == packet.DHCPServerPort:
		return " " + packettest.DescribeDHCP(p[h.Payload:h.PacketEnd])
	case h.Key.SrcPort == packet.DHCP6ServerPort && binary.BigEndian.Uint16(p[h.L4+2:]) == packet.DHCP6ClientPort:
		return " " + packettest.DescribeDHCP6(p[h.Payload:h.PacketEnd])
	}
	return ""
}

func isQuestion(text string) bool {
	return strings.HasPrefix(text, "dhcp ") || strings.HasPrefix(text, "dhcp6 ")
}
