package packettest

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/packet"
)

// Two hosts, A and B, in every family.
var (
	MACA = packet.MAC{0x02, 0, 0, 0, 0, 0x0a}
	MACB = packet.MAC{0x02, 0, 0, 0, 0, 0x0b}

	A4 = netip.MustParseAddr("10.0.0.1")
	B4 = netip.MustParseAddr("10.0.0.2")
	A6 = netip.MustParseAddr("2001:db8::1")
	B6 = netip.MustParseAddr("2001:db8::2")
)

// Layer is a layer of a frame, as gopacket has it.
type Layer = gopacket.SerializableLayer

// Make serializes layers into a frame: what is below names what is above, and
// lengths and checksums are right. The frame is not padded, but one inside a
// tunnel is, to 60 bytes. It panics if it cannot.
func Make(stack ...Layer) []byte {
	link(stack)
	frame := serialize(stack)
	if _, padded := stack[0].(*layers.Ethernet); padded {
		return frame[:14+len(serialize(stack[1:]))]
	}
	return frame
}

func serialize(stack []Layer) []byte {
	buf := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, options, stack...); err != nil {
		panic(fmt.Sprintf("packettest: serialize %v: %v", stack, err))
	}
	return buf.Bytes()
}

// link writes into each layer what follows it, where the caller has not.
func link(stack []Layer) {
	var network gopacket.NetworkLayer
	for i, layer := range stack {
		var next Layer = gopacket.Payload(nil)
		if i+1 < len(stack) {
			next = stack[i+1]
		}
		switch l := layer.(type) {
		case *layers.Ethernet:
			setIfZero(&l.EthernetType, etherTypeOf(next))
		case *layers.Dot1Q:
			setIfZero(&l.Type, etherTypeOf(next))
		case *layers.IPv4:
			setIfZero(&l.Protocol, protocolOf(next))
			network = l
		case *layers.IPv6:
			setIfZero(&l.NextHeader, protocolOf(next))
			network = l
		case interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}:
			if err := l.SetNetworkLayerForChecksum(network); err != nil {
				panic(fmt.Sprintf("packettest: %T over %T: %v", l, network, err))
			}
		}
	}
}

func setIfZero[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func etherTypeOf(next Layer) layers.EthernetType {
	switch next.LayerType() {
	case layers.LayerTypeDot1Q:
		return layers.EthernetTypeDot1Q
	case layers.LayerTypeARP:
		return layers.EthernetTypeARP
	case layers.LayerTypeIPv6:
		return layers.EthernetTypeIPv6
	}
	return layers.EthernetTypeIPv4
}

func protocolOf(next Layer) layers.IPProtocol {
	switch next.LayerType() {
	case layers.LayerTypeTCP:
		return layers.IPProtocolTCP
	case layers.LayerTypeUDP:
		return layers.IPProtocolUDP
	case layers.LayerTypeSCTP:
		return layers.IPProtocolSCTP
	case layers.LayerTypeICMPv4:
		return layers.IPProtocolICMPv4
	case layers.LayerTypeICMPv6:
		return layers.IPProtocolICMPv6
	}
	return 0
}

// Ethernet is from A to B.
func Ethernet() *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: hw(MACA), DstMAC: hw(MACB)}
}

func hw(m packet.MAC) net.HardwareAddr { return m[:] }

// Tag is a VLAN tag; the layer below says whether it is of 8100 or 88a8.
func Tag(vid uint16) *layers.Dot1Q { return &layers.Dot1Q{VLANIdentifier: vid} }

// IP is from src to dst, of their family.
func IP(src, dst netip.Addr) Layer {
	if src.Is4() {
		return IPv4(src, dst)
	}
	return IPv6(src, dst)
}

// IPv4 has a TTL of 64, DF set and an identification of 0xfffe, so that
// counting it on wraps.
func IPv4(src, dst netip.Addr) *layers.IPv4 {
	return &layers.IPv4{
		Version: 4, TTL: 64, Id: 0xfffe, Flags: layers.IPv4DontFragment,
		SrcIP: src.AsSlice(), DstIP: dst.AsSlice(),
	}
}

// IPv6 has a hop limit of 64.
func IPv6(src, dst netip.Addr) *layers.IPv6 {
	return &layers.IPv6{Version: 6, HopLimit: 64, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
}

// TCP has the flags given, of packet's, and sequence number 0xfffffff0, so
// that counting it on wraps.
func TCP(src, dst uint16, flags uint8) *layers.TCP {
	return &layers.TCP{
		SrcPort: layers.TCPPort(src), DstPort: layers.TCPPort(dst), Seq: 0xfffffff0, Ack: 7, Window: 512,
		FIN: flags&packet.TCPFin != 0, SYN: flags&packet.TCPSyn != 0, RST: flags&packet.TCPRst != 0,
		PSH: flags&packet.TCPPsh != 0, ACK: flags&packet.TCPAckFlag != 0, URG: flags&packet.TCPUrg != 0,
		ECE: flags&packet.TCPEce != 0, CWR: flags&packet.TCPCwr != 0,
	}
}

// UDP is a datagram.
func UDP(src, dst uint16) *layers.UDP {
	return &layers.UDP{SrcPort: layers.UDPPort(src), DstPort: layers.UDPPort(dst)}
}

// SCTP is a common header.
func SCTP(src, dst uint16) *layers.SCTP {
	return &layers.SCTP{SrcPort: layers.SCTPPort(src), DstPort: layers.SCTPPort(dst), VerificationTag: 1}
}

// ICMP is ICMP over IPv4; id and seq are the header's last four bytes.
func ICMP(kind, code uint8, id, seq uint16) *layers.ICMPv4 {
	return &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, code), Id: id, Seq: seq}
}

// ICMPv6 is the first four bytes of an ICMPv6 header; a Payload has the rest.
func ICMPv6(kind, code uint8) *layers.ICMPv6 {
	return &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, code)}
}

// ARP asks for, or with op 2 tells, the MAC of an address.
func ARP(op uint16, src, dst netip.Addr) *layers.ARP {
	return &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
		HwAddressSize: 6, ProtAddressSize: 4, Operation: op,
		SourceHwAddress: hw(MACA), SourceProtAddress: src.AsSlice(),
		DstHwAddress: make([]byte, 6), DstProtAddress: dst.AsSlice(),
	}
}

// VXLAN is a tunnel header with a VNI.
func VXLAN(vni uint32) *layers.VXLAN { return &layers.VXLAN{ValidIDFlag: true, VNI: vni} }

// Payload is n bytes that differ from one another.
func Payload(n int) gopacket.Payload {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// Raw is bytes as they are.
func Raw(b ...byte) gopacket.Payload { return b }

// Addr returns the address as the switch writes it.
func Addr(a netip.Addr) packet.Addr { return packet.AddrFrom(a) }

// Frame makes a frame of b as a driver would, with headroom and as much room
// behind it, both full of bytes that are not b's: what reads or leaks them
// shows.
func Frame(b []byte, headroom int) *packet.Frame {
	buf := make([]byte, headroom+len(b)+headroom)
	for i := range buf {
		buf[i] = 0xa5
	}
	copy(buf[headroom:], b)
	f := new(packet.Frame)
	f.Begin(buf, uint32(headroom), uint32(headroom+len(b)), 0)
	return f
}

// Partial makes the transport checksum of a parsed frame of TCP or UDP
// partial, as a host leaves it to a device that offers to finish it. It does
// not use package checksum.
func Partial(f *packet.Frame) {
	h := &f.Headers
	at := uint16(16)
	if h.Key.Proto == packet.ProtoUDP {
		at = 6
	}
	b := f.Bytes()
	field := b[h.L4+at:]
	sum := pseudo(b[h.L3:], h.Key.Proto, int(h.PacketEnd)-int(h.L4))
	field[0], field[1] = byte(sum>>8), byte(sum)
	f.Offload.Checksum, f.Offload.CsumStart, f.Offload.CsumOffset = packet.ChecksumPartial, h.L4, at
}
