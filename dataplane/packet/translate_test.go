package packet_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// drawSpec draws a packet that can be translated.
func drawSpec(t *rapid.T) packet.Spec {
	v6 := rapid.Bool().Draw(t, "v6")
	s := packet.Spec{
		SrcMAC: packet.MAC{2, 0, 0, 0, 0, 1}, DstMAC: packet.MAC{2, 0, 0, 0, 0, 2},
		Src: drawAddr(t, v6), Dst: drawAddr(t, v6),
		Payload: rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload"),
	}
	port := func(name string) uint16 { return rapid.SampledFrom([]uint16{1, 80, 0x8000, 0xffff}).Draw(t, name) }
	switch rapid.IntRange(0, 2).Draw(t, "proto") {
	case 0:
		s.Proto, s.TCPFlags = packet.ProtoTCP, packet.TCPSyn
		s.SrcPort, s.DstPort = port("sport"), port("dport")
	case 1:
		s.Proto = packet.ProtoUDP
		s.SrcPort, s.DstPort = port("sport"), port("dport")
	default:
		s.Proto, s.ICMPType = packet.ProtoICMP, packet.ICMPEchoRequest
		if v6 {
			s.Proto, s.ICMPType = packet.ProtoICMPv6, packet.ICMPv6EchoRequest
		}
		s.ICMPID = port("id")
	}
	return s
}

func drawAddr(t *rapid.T, v6 bool) packet.Addr {
	b := rapid.SampledFrom([]byte{0, 1, 0x7f, 0xff}).Draw(t, "byte")
	if v6 {
		return packet.Addr{0x20, 1, 0x0d, 0xb8, b, b, 14: b, 15: 1}
	}
	return packet.AddrFrom4([4]byte{10, b, b, 1})
}

// renamed returns the packet as it would have been built with other ends.
func renamed(s packet.Spec, source bool, a packet.Addr, port uint16) packet.Spec {
	if source {
		s.Src, s.SrcPort = a, port
	} else {
		s.Dst, s.DstPort = a, port
	}
	if s.ICMPType != 0 {
		s.SrcPort, s.DstPort, s.ICMPID = 0, 0, port
	}
	return s
}

func built(t *rapid.T, s packet.Spec) *packet.Frame {
	b, err := packet.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	f := packet.NewFrame(b, 1)
	if reason := packet.Parse(f); reason != drop.None {
		t.Fatal(reason)
	}
	return f
}

// A packet that is given another end is the packet that would have been built
// with it, whatever is known of its checksum, and its headers say so.
func TestSetEndIsBuildingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpec(t)
		a := drawAddr(t, !s.Src.Is4())
		port := rapid.SampledFrom([]uint16{2, 443, 0x7fff, 0xfffe}).Draw(t, "port")
		source := rapid.Bool().Draw(t, "source")
		got, want := built(t, s), built(t, renamed(s, source, a, port))
		if s.ICMPType == 0 && rapid.Bool().Draw(t, "partial") {
			packettest.Partial(got)
			packettest.Partial(want)
		}
		if source {
			packet.SetSource(got, &a, port)
		} else {
			packet.SetDestination(got, &a, port)
		}
		same(t, got, want)
	})
}

// same compares frames. A ones' complement sum of zero has two forms, which are
// one to every receiver; so packets are compared with the checksum verified and
// then taken out.
func same(t *rapid.T, got, want *packet.Frame) {
	t.Helper()
	if !packet.VerifyChecksum(got) {
		t.Fatalf("the checksum is wrong: %x", got.Bytes())
	}
	if got.Headers != want.Headers {
		t.Fatalf("headers\n%+v, want\n%+v", got.Headers, want.Headers)
	}
	for _, f := range []*packet.Frame{got, want} {
		h := &f.Headers
		at := map[uint8]uint16{packet.ProtoTCP: 16, packet.ProtoUDP: 6, packet.ProtoICMP: 2, packet.ProtoICMPv6: 2}[h.Key.Proto]
		clear(f.Bytes()[h.L4+at : h.L4+at+2])
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatalf("\n%x, want\n%x", got.Bytes(), want.Bytes())
	}
}

// The same for what an ICMP error quotes, however short the quote is: the error
// is the one that would have been built around the other packet.
func TestSetQuotedIsBuildingAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpec(t)
		a := drawAddr(t, !s.Src.Is4())
		port := rapid.SampledFrom([]uint16{2, 443, 0x7fff, 0xfffe}).Draw(t, "port")
		source := rapid.Bool().Draw(t, "source")
		length := 2 * rapid.IntRange(4, 20).Draw(t, "quoted")
		got, want := errorAbout(t, s, length), errorAbout(t, renamed(s, source, a, port), length)
		if source {
			packet.SetQuotedSource(got, &a, port)
		} else {
			packet.SetQuotedDestination(got, &a, port)
		}
		sumsQuoted(t, got, s.Proto, length)
		sumsQuoted(t, want, s.Proto, length)
		same(t, got, want)
	})
}

// errorAbout builds the error about a packet of which so many bytes of transport
// are quoted.
func errorAbout(t *rapid.T, s packet.Spec, length int) *packet.Frame {
	about := built(t, s)
	h := &about.Headers
	e := packet.Spec{
		SrcMAC: s.DstMAC, DstMAC: s.SrcMAC, Src: s.Dst, Dst: s.Src, Proto: packet.ProtoICMP, ICMPType: packet.ICMPUnreachable,
		Payload: about.Bytes()[h.L3:min(uint32(h.L4)+uint32(length), h.PacketEnd)],
	}
	if !s.Src.Is4() {
		e.Proto, e.ICMPType = packet.ProtoICMPv6, packet.ICMPv6Unreachable
	}
	// The same ends for both errors: only the quote is changed.
	e.Src, e.Dst = drawnEnds(!s.Src.Is4())
	return built(t, e)
}

func drawnEnds(v6 bool) (src, dst packet.Addr) {
	if v6 {
		return packet.Addr{0: 0x20, 1: 1, 15: 9}, packet.Addr{0: 0x20, 1: 1, 15: 8}
	}
	return packet.AddrFrom4([4]byte{192, 0, 2, 9}), packet.AddrFrom4([4]byte{192, 0, 2, 8})
}

// sumsQuoted makes the two forms of a sum of zero one in what is quoted, as
// same does in the packet itself.
func sumsQuoted(t *rapid.T, f *packet.Frame, proto uint8, length int) {
	at := map[uint8]int{packet.ProtoTCP: 16, packet.ProtoUDP: 6, packet.ProtoICMP: 2, packet.ProtoICMPv6: 2}[proto]
	if at+2 > length || int(f.Headers.InnerL4)+at+2 > int(f.Headers.PacketEnd) {
		return
	}
	if field := f.Bytes()[int(f.Headers.InnerL4)+at:]; field[0] == 0xff && field[1] == 0xff {
		field[0], field[1] = 0, 0 // to the error's own sum this is nothing
	}
}
