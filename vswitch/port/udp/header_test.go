package udp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

var (
	own4, peer4 = netip.MustParseAddrPort("192.0.2.1:4789"), netip.MustParseAddrPort("192.0.2.2:50000")
	own6, peer6 = netip.MustParseAddrPort("[2001:db8::1]:4789"), netip.MustParseAddrPort("[2001:db8::2]:50000")
)

// The headers that are written before a datagram are read as they should be by
// the walk's parser, and by what sends.
func TestOuterHeaders(t *testing.T) {
	tunnel := append([]byte{8, 0, 0, 0, 0, 0, 100, 0}, bytes.Repeat([]byte{7}, 100)...)
	for _, c := range []struct{ from, to netip.AddrPort }{{peer4, own4}, {peer6, own6}} {
		n := outerLen(family(c.to.Addr()))
		b := append(make([]byte, n), tunnel...)
		putOuter(b, c.from, c.to, 0x2f, len(tunnel))
		f := packet.NewFrame(b, 1)
		if reason := packet.Parse(f); reason != drop.None {
			t.Fatalf("%s: %s", c.from, reason)
		}
		h := &f.Headers
		if h.Key.Src != packet.AddrFrom(c.from.Addr()) || h.Key.Dst != packet.AddrFrom(c.to.Addr()) || h.Key.SrcPort != 50000 || h.Key.DstPort != 4789 ||
			f.TOS() != 0x2f || int(h.PacketEnd) != len(b) || int(h.Payload) != n {
			t.Errorf("%s: parsed as %+v, type of service %#x", c.from, h, f.TOS())
		}
		to, ok := readOuter(b)
		addr := netip.AddrFrom16(to.addr)
		if to.family == 0 {
			addr = netip.AddrFrom4([4]byte(to.addr[:4]))
		}
		if !ok || addr != c.to.Addr() || to.port != 4789 || to.tos != 0x2f || to.lane != 50000%Lanes {
			t.Errorf("%s: read as %+v, %v", c.to, to, ok)
		}
		for n := range b[:outer4+vxlanLen] {
			if _, ok := readOuter(b[:n]); ok {
				t.Fatalf("%d bytes are read as a tunnel", n)
			}
		}
	}
}

// inner is a tunnel around a packet of TCP or UDP with n bytes of payload, whose
// checksum is left partial.
func inner(v6 bool, proto uint8, n int) []byte {
	spec := packet.Spec{SrcMAC: ourMAC, DstMAC: hostMAC, Proto: proto, SrcPort: 1, DstPort: 2, TCPFlags: packet.TCPAckFlag, Payload: make([]byte, n),
		Src: packet.AddrFrom(netip.MustParseAddr("10.0.0.1")), Dst: packet.AddrFrom(netip.MustParseAddr("10.0.0.2"))}
	if v6 {
		spec.Src, spec.Dst = packet.AddrFrom(netip.MustParseAddr("fd00::1")), packet.AddrFrom(netip.MustParseAddr("fd00::2"))
	}
	b, err := packet.Build(spec)
	if err != nil {
		panic(err)
	}
	f := packet.NewFrame(b, 1)
	packet.Parse(f)
	at := map[uint8]int{packet.ProtoTCP: tcpChecksum, packet.ProtoUDP: udpChecksum}[proto] + int(f.Headers.L4)
	binary.BigEndian.PutUint16(b[at:], checksum.Fold(packet.PseudoSum(&f.Headers, f.Headers.PacketEnd-uint32(f.Headers.L4))))
	return append([]byte{8, 0, 0, 0, 0, 0, 100, 0}, b...)
}

// A tunnel around a superframe is known by its length and its partial checksum;
// its pieces are what the sender said, or what fits.
func TestSuperframe(t *testing.T) {
	for name, c := range map[string]struct {
		tunnel []byte
		size   int
		gso    packet.GSO
		want   uint16
		l4     int
	}{
		"tcp4":         {inner(false, packet.ProtoTCP, 9000), 0, packet.GSOTCP4, 1450 - 40, 42 + 22 + 20},
		"tcp6":         {inner(true, packet.ProtoTCP, 9000), 0, packet.GSOTCP6, 1450 - 60, 42 + 22 + 40},
		"tcp4, joined": {inner(false, packet.ProtoTCP, 9000), 1000, packet.GSOTCP4, 1000, 42 + 22 + 20},
		"udp4":         {inner(false, packet.ProtoUDP, 9000), 700, packet.GSOUDP4, 700, 42 + 22 + 20},
		"udp6":         {inner(true, packet.ProtoUDP, 9000), 700, packet.GSOUDP6, 700, 42 + 22 + 40},
	} {
		o, is := superframe(c.tunnel, outer4, c.size, 1450)
		if !is || o.GSO != c.gso || o.Size != c.want || int(o.CsumStart) != c.l4 || o.Checksum != packet.ChecksumPartial {
			t.Errorf("%s: %+v, %v", name, o, is)
		}
	}
	whole := inner(false, packet.ProtoTCP, 9000)
	whole[8+14+20+16] ^= 1
	cut := inner(false, packet.ProtoTCP, 9000)
	icmp := inner(false, packet.ProtoTCP, 9000)
	icmp[8+14+9] = packet.ProtoICMP
	for name, c := range map[string][]byte{
		"a large frame with its checksum": whole, "less than its inner packet says": cut[:5000], "another protocol": icmp,
		"datagrams of a size that nobody told": inner(false, packet.ProtoUDP, 9000), "nothing": nil, "a header": whole[:8],
	} {
		if o, is := superframe(c, outer4, 0, 1450); is {
			t.Errorf("%s is taken for a superframe: %+v", name, o)
		}
	}
}

// FuzzSuperframe: whatever a datagram has, an offload that is believed lies inside
// its frame.
func FuzzSuperframe(f *testing.F) {
	f.Add(inner(false, packet.ProtoTCP, 3000), 0)
	f.Add(inner(true, packet.ProtoTCP, 3000), 1000)
	f.Add(inner(false, packet.ProtoUDP, 3000), 1)
	f.Add(inner(true, packet.ProtoUDP, 60), 65535)
	f.Fuzz(func(t *testing.T, tunnel []byte, size int) {
		if len(tunnel) > 65507 || size < 0 || size > 65535 {
			return
		}
		o, is := superframe(tunnel, outer4, size, 1450)
		if !is {
			return
		}
		if n := outer4 + len(tunnel); o.Size == 0 || o.GSO == packet.GSONone || int(o.CsumStart)+int(o.CsumOffset)+2 > n || innerLen(tunnel) != len(tunnel) {
			t.Errorf("%+v of %d bytes", o, n)
		}
	})
}
