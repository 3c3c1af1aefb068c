package packettest

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/packet"
)

// TB is what a check needs of a test: of testing's, or of rapid's.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Expect says what is wrong with a frame, or nil.
type Expect func(p gopacket.Packet) error

// Check reads a frame with gopacket and reports each expectation that it does
// not meet.
func Check(t TB, frame []byte, expect ...Expect) {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if fail := p.ErrorLayer(); fail != nil {
		t.Errorf("frame %x does not decode: %v", frame, fail.Error())
		return
	}
	for _, e := range expect {
		if err := e(p); err != nil {
			t.Errorf("%v\nin %v", err, p)
		}
	}
}

// MACs expects the addresses of the outermost Ethernet header.
func MACs(dst, src packet.MAC) Expect {
	return func(p gopacket.Packet) error {
		eth := p.LinkLayer().(*layers.Ethernet)
		if d, s := packet.MAC(eth.DstMAC), packet.MAC(eth.SrcMAC); d != dst || s != src {
			return fmt.Errorf("frame is %s > %s, want %s > %s", s, d, src, dst)
		}
		return nil
	}
}

// From expects source and destination of the outermost IP header.
func From(src, dst netip.Addr) Expect {
	return func(p gopacket.Packet) error {
		network := p.NetworkLayer()
		if network == nil {
			return errors.New("no IP header")
		}
		flow := network.NetworkFlow()
		if s, d := flow.Src().String(), flow.Dst().String(); s != src.String() || d != dst.String() {
			return fmt.Errorf("packet is %s > %s, want %s > %s", s, d, src, dst)
		}
		return nil
	}
}

// TTL expects the TTL or hop limit of the outermost IP header.
func TTL(want uint8) Expect {
	return func(p gopacket.Packet) error {
		got := uint8(0)
		switch l := p.NetworkLayer().(type) {
		case *layers.IPv4:
			got = l.TTL
		case *layers.IPv6:
			got = l.HopLimit
		}
		if got != want {
			return fmt.Errorf("TTL is %d, want %d", got, want)
		}
		return nil
	}
}

// Has expects a layer to be there.
func Has(kind gopacket.LayerType) Expect {
	return func(p gopacket.Packet) error {
		if p.Layer(kind) == nil {
			return fmt.Errorf("no layer %v", kind)
		}
		return nil
	}
}

// ICMPIs expects type and code of an ICMP or ICMPv6 header.
func ICMPIs(kind, code uint8) Expect {
	return func(p gopacket.Packet) error {
		var got uint16
		if l, is4 := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); is4 {
			got = uint16(l.TypeCode)
		} else if l, is6 := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6); is6 {
			got = uint16(l.TypeCode)
		} else {
			return errors.New("no ICMP header")
		}
		if want := uint16(kind)<<8 | uint16(code); got != want {
			return fmt.Errorf("ICMP type and code are %04x, want %04x", got, want)
		}
		return nil
	}
}

// Checksums expects every checksum of every layer to be right: IPv4, TCP, UDP
// (zero means none over IPv4, and is allowed for the outer header of a tunnel),
// ICMP and ICMPv6.
func Checksums(p gopacket.Packet) error {
	var ip []byte
	var errs []error
	for _, layer := range p.Layers() {
		wrong, sum := false, uint16(0)
		switch l := layer.(type) {
		case *layers.IPv4:
			ip = l.LayerContents()
			sum = slowSum(0, ip)
			wrong = sum != 0xffff
		case *layers.IPv6:
			ip = l.LayerContents()
		case *layers.TCP:
			sum = transportSum(ip, 6, l)
			wrong = sum != 0xffff
		case *layers.UDP:
			sum = transportSum(ip, 17, l)
			tunnel := l.NextLayerType() == layers.LayerTypeVXLAN
			wrong = sum != 0xffff && !(l.Checksum == 0 && (len(ip) < 40 || tunnel))
		case *layers.ICMPv4:
			sum = slowSum(0, l.LayerContents(), l.LayerPayload())
			wrong = sum != 0xffff
		case *layers.ICMPv6:
			sum = transportSum(ip, 58, l)
			wrong = sum != 0xffff
		}
		if wrong {
			errs = append(errs, fmt.Errorf("%v sums to %04x, want ffff", layer.LayerType(), sum))
		}
	}
	return errors.Join(errs...)
}

// transportSum sums a transport layer and its pseudo-header. gopacket cuts the
// padding off a layer's payload.
func transportSum(ip []byte, proto uint8, l gopacket.Layer) uint16 {
	n := len(l.LayerContents()) + len(l.LayerPayload())
	return slowSum(pseudo(ip, proto, n), l.LayerContents(), l.LayerPayload())
}

// pseudo sums the pseudo-header for the IP header ip.
func pseudo(ip []byte, proto uint8, n int) uint16 {
	tail := []byte{0, 0, byte(n >> 8), byte(n), 0, 0, 0, proto}
	if ip[0]>>4 == 6 {
		return slowSum(0, ip[8:40], tail)
	}
	return slowSum(0, ip[12:20], tail)
}

// slowSum is RFC 1071 as it is told: a word at a time, the carry added back at
// once. Of the parts only the last may be of odd length.
func slowSum(start uint16, parts ...[]byte) uint16 {
	sum := uint32(start)
	for _, b := range parts {
		for i := 0; i < len(b); i += 2 {
			word := uint32(b[i]) << 8
			if i+1 < len(b) {
				word |= uint32(b[i+1])
			}
			if sum += word; sum > 0xffff {
				sum -= 0xffff
			}
		}
	}
	return uint16(sum)
}
