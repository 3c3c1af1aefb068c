package packet_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"pgregory.net/rapid"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// Each situation that Parse tells apart, by name.
func TestParseSaysWhy(t *testing.T) {
	for _, s := range packettest.Seeds() {
		f := packettest.Frame(s.Bytes, packet.Headroom)
		if got := packet.Parse(f); got != s.Reason {
			t.Errorf("%s: %s, want %s\n%x", s.Name, got, s.Reason, s.Bytes)
		}
	}
}

// A frame cut short anywhere is refused or, where only padding is missing,
// says the same; it is never read behind its end: the bytes there are changed
// and nothing else comes out.
func TestTruncatedAnywhere(t *testing.T) {
	for _, s := range packettest.Seeds() {
		whole := packettest.Frame(s.Bytes, packet.Headroom)
		packet.Parse(whole)
		for n := range len(s.Bytes) {
			f := packettest.Frame(s.Bytes[:n], packet.Headroom)
			reason := packet.Parse(f)
			got := f.Headers
			if s.Reason == drop.None && reason == drop.None && uint32(n) < whole.Headers.PacketEnd {
				t.Errorf("%s: %d of %d bytes are taken for a packet", s.Name, n, len(s.Bytes))
			}
			for i := f.End; int(i) < len(f.Buf); i++ {
				f.Buf[i] = ^f.Buf[i]
			}
			if again := packet.Parse(f); again != reason || f.Headers != got {
				t.Errorf("%s: of %d bytes, what lies behind them changes the result", s.Name, n)
			}
		}
	}
}

// Padding behind the IP or ARP packet has no effect, whatever is in it.
func TestPaddingHasNoEffect(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, s := range packettest.Seeds() {
		if s.Reason != drop.None {
			continue
		}
		plain := packettest.Frame(s.Bytes, packet.Headroom)
		packet.Parse(plain)
		for _, n := range []int{1, 2, 18, 46} {
			padding := make([]byte, n)
			for i := range padding {
				padding[i] = byte(random.Uint32())
			}
			f := packettest.Frame(append(bytes.Clone(s.Bytes), padding...), packet.Headroom)
			if reason := packet.Parse(f); reason != drop.None || f.Headers != plain.Headers {
				t.Errorf("%s: %d bytes of padding change the result to %s", s.Name, n, reason)
			}
			if packet.VerifyChecksum(f) != packet.VerifyChecksum(plain) {
				t.Errorf("%s: %d bytes of padding change the checksum", s.Name, n)
			}
		}
	}
}

// The same packet under 0, 1 and 2 tags differs in its offsets only.
func TestTagsMoveOffsetsOnly(t *testing.T) {
	for _, s := range packettest.Seeds() {
		plain := packettest.Frame(s.Bytes, packet.Headroom)
		if packet.Parse(plain) != drop.None || plain.Headers.VLANs != 0 {
			continue
		}
		for tags := 1; tags <= 2; tags++ {
			f := packettest.Frame(s.Bytes, packet.Headroom)
			packet.Parse(f)
			for i := range tags {
				if !packet.PushVLAN(f, packet.EtherTypeVLAN, uint16(0x2000+i)) {
					t.Fatalf("%s: no room for a tag", s.Name)
				}
			}
			pushed := f.Headers
			if reason := packet.Parse(f); reason != drop.None || f.Headers != pushed {
				t.Errorf("%s: pushed %d tags, Parse says %s and\n%+v, want\n%+v", s.Name, tags, reason, f.Headers, pushed)
			}
			for i := range tags {
				tci, found := packet.PopVLAN(f)
				if want := uint16(0x2000 + tags - 1 - i); !found || tci != want {
					t.Errorf("%s: popped %04x, %v; want %04x", s.Name, tci, found, want)
				}
			}
			if f.Headers != plain.Headers || !bytes.Equal(f.Bytes(), s.Bytes) {
				t.Errorf("%s: tags pushed and popped leave another frame", s.Name)
			}
		}
	}
}

// What Parse finds is what gopacket finds, on frames that have been damaged in
// a few places: a frame that both understand means one thing.
func TestParseAgreesWithGopacket(t *testing.T) {
	var legal [][]byte
	for _, s := range packettest.Seeds() {
		legal = append(legal, s.Bytes)
	}
	agreed := 0
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(rapid.SampledFrom(legal).Draw(t, "seed"))
		if len(b) == 0 {
			return
		}
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		f := packettest.Frame(b, packet.Headroom)
		if packet.Parse(f) != drop.None {
			return
		}
		p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
		agree(t, f, p)
		agreed++
	})
	if agreed < 20 {
		t.Errorf("only %d frames were understood: the test compares too little", agreed)
	}
}

// agree compares addresses, ports and flags.
func agree(t *rapid.T, f *packet.Frame, p gopacket.Packet) {
	h := &f.Headers
	if h.Kind == packet.KindARP {
		a, is := p.Layer(layers.LayerTypeARP).(*layers.ARP)
		if got := packet.ARPOf(f); !is || got.Op != a.Operation || !bytes.Equal(got.TargetIP[12:], a.DstProtAddress) {
			t.Fatalf("ARP: %+v, gopacket has %+v", got, a)
		}
		return
	}
	flow := p.NetworkLayer().NetworkFlow()
	src, dst := flow.Endpoints()
	if h.Key.Src.String() != src.String() || h.Key.Dst.String() != dst.String() {
		t.Fatalf("addresses %s > %s, gopacket has %s > %s", h.Key.Src, h.Key.Dst, src, dst)
	}
	l4 := f.Bytes()[h.L4:]
	switch l := p.Layer(layerOf(h.Key.Proto)).(type) {
	case *layers.TCP:
		if uint16(l.SrcPort) != h.Key.SrcPort || uint16(l.DstPort) != h.Key.DstPort || l.Seq != h.TCPSeq ||
			l.SYN != (h.TCPFlags&packet.TCPSyn != 0) || l.ACK != (h.TCPFlags&packet.TCPAckFlag != 0) {
			t.Fatalf("TCP: %+v, gopacket has %+v", h.Key, l)
		}
		if want := f.Bytes()[h.Payload:h.PacketEnd]; !bytes.Equal(l.Payload, want) {
			t.Fatalf("TCP payload of %d bytes, gopacket has %d", len(want), len(l.Payload))
		}
	case *layers.UDP:
		if uint16(l.SrcPort) != h.Key.SrcPort || uint16(l.DstPort) != h.Key.DstPort {
			t.Fatalf("UDP: %+v, gopacket has %+v", h.Key, l)
		}
	case *layers.SCTP:
		if uint16(l.SrcPort) != h.Key.SrcPort || uint16(l.DstPort) != h.Key.DstPort {
			t.Fatalf("SCTP: %+v, gopacket has %+v", h.Key, l)
		}
	case *layers.ICMPv4:
		if l.TypeCode.Type() != h.ICMPType || l.TypeCode.Code() != h.ICMPCode {
			t.Fatalf("ICMP: %d/%d, gopacket has %v", h.ICMPType, h.ICMPCode, l.TypeCode)
		}
	case *layers.ICMPv6:
		if l.TypeCode.Type() != h.ICMPType || !bytes.Equal(l.Contents, l4[:len(l.Contents)]) {
			t.Fatalf("ICMPv6: %d/%d, gopacket has %v", h.ICMPType, h.ICMPCode, l.TypeCode)
		}
	case nil:
		if layerOf(h.Key.Proto) != 0 {
			t.Fatalf("gopacket finds no transport %d in %v", h.Key.Proto, p)
		}
	}
}

func layerOf(proto uint8) gopacket.LayerType {
	switch proto {
	case packet.ProtoTCP:
		return layers.LayerTypeTCP
	case packet.ProtoUDP:
		return layers.LayerTypeUDP
	case packet.ProtoSCTP:
		return layers.LayerTypeSCTP
	case packet.ProtoICMP:
		return layers.LayerTypeICMPv4
	case packet.ProtoICMPv6:
		return layers.LayerTypeICMPv6
	}
	return 0
}

// Any bytes at all: no panic, and every offset of a frame that passes lies in
// order inside it.
func TestParseIsTotal(t *testing.T) {
	var seeds [][]byte
	for _, s := range packettest.Seeds() {
		seeds = append(seeds, s.Bytes)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(rapid.SampledFrom(seeds).Draw(t, "seed"))
		b = append(b, rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "tail")...)
		for range rapid.IntRange(0, 8).Draw(t, "changes") {
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		b = b[:rapid.IntRange(0, len(b)).Draw(t, "cut")]
		f := packettest.Frame(b, packet.Headroom)
		f.Offload = packet.Offload{
			Checksum:  packet.Checksum(rapid.IntRange(0, 3).Draw(t, "checksum")),
			GSO:       packet.GSO(rapid.IntRange(0, 6).Draw(t, "gso")),
			Size:      rapid.Uint16().Draw(t, "size"),
			CsumStart: rapid.SampledFrom([]uint16{0, 34, 54, 0xffff}).Draw(t, "start"), CsumOffset: rapid.SampledFrom([]uint16{2, 6, 16}).Draw(t, "offset"),
		}
		if packet.Parse(f) != drop.None {
			return
		}
		h := &f.Headers
		ok := h.L3 >= 14 && uint32(h.L3) < h.PacketEnd && int(h.PacketEnd) <= len(b)
		if h.Kind != packet.KindARP {
			ok = ok && h.L3 < h.L4 && h.L4 <= h.Payload && uint32(h.Payload) <= h.PacketEnd
		}
		if h.ICMPError {
			ok = ok && h.InnerL4 > h.Payload && uint32(h.InnerL4)+8 <= h.PacketEnd
		}
		if !ok {
			t.Fatalf("offsets out of order: %+v in %d bytes", h, len(b))
		}
		packet.VerifyChecksum(f)
		packet.Describe(f)
		if f.Offload.GSO == packet.GSONone {
			packet.FinishChecksum(f)
		}
	})
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, s := range packettest.Seeds() {
		f := packettest.Frame(s.Bytes, packet.Headroom)
		if n := testing.AllocsPerRun(10, func() {
			if packet.Parse(f) == drop.None {
				packet.VerifyChecksum(f)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", s.Name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"tcp4_syn", "tcp6_syn", "udp4", "two_tags_qinq", "icmpv6_unreachable", "ipv6_eight_extensions", "nd_solicitation"} {
		b.Run(name, func(b *testing.B) {
			var f *packet.Frame
			for _, s := range packettest.Seeds() {
				if s.Name == name {
					f = packettest.Frame(s.Bytes, packet.Headroom)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if reason := packet.Parse(f); reason != drop.None {
					b.Fatal(reason)
				}
			}
		})
	}
}
