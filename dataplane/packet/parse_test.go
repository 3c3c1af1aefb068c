package packet_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"pgregory.net/rapid"

	"bulkhead/dataplane/checksum"
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

// What Parse finds, field by field, where gopacket has no word for it.
func TestParseFillsHeaders(t *testing.T) {
	key := func(src, dst netip.Addr, proto uint8, sport, dport uint16) packet.Key {
		return packet.Key{Src: packettest.Addr(src), Dst: packettest.Addr(dst), Proto: proto, SrcPort: sport, DstPort: dport}
	}
	asks := func(src, dst netip.Addr, proto uint8, query packet.Query) packet.Key {
		k := key(src, dst, proto, 77, 77)
		k.Query = query
		return k
	}
	a4, b4, a6, b6 := packettest.A4, packettest.B4, packettest.A6, packettest.B6
	quoted4, quoted6 := key(b4, a4, packet.ProtoTCP, 443, 1024), key(b6, a6, packet.ProtoTCP, 443, 1024)
	cases := map[string]packet.Headers{
		"tcp6_syn": {
			V6: true, L3: 14, L4: 54, Payload: 74, PacketEnd: 74, TTL: 64, Key: key(a6, b6, packet.ProtoTCP, 1024, 443),
			TCPFlags: packet.TCPSyn, TCPSeq: 0xfffffff0, TCPAck: 7, TCPWindow: 512,
		},
		"two_tags_qinq": {
			VLANs: 2, VLAN: [2]uint16{7, 8}, L3: 22, L4: 42, Payload: 62, PacketEnd: 62, TTL: 64,
			Key: key(a4, b4, packet.ProtoTCP, 1024, 443), TCPFlags: packet.TCPSyn, TCPSeq: 0xfffffff0, TCPAck: 7, TCPWindow: 512,
		},
		"ipv4_gre":                    {L3: 14, L4: 34, Payload: 34, PacketEnd: 54, TTL: 64, Key: key(a4, b4, 47, 0, 0)},
		"ipv6_authentication_header":  {V6: true, L3: 14, L4: 54, Payload: 54, PacketEnd: 90, TTL: 64, Key: key(a6, b6, 51, 0, 0)}, // of a SYN
		"ipv6_esp_behind_destination": {V6: true, L3: 14, L4: 62, Payload: 62, PacketEnd: 90, TTL: 64, Key: key(a6, b6, 50, 0, 0)},
		"icmp_echo_request":           {L3: 14, L4: 34, Payload: 42, PacketEnd: 98, TTL: 64, ICMPType: 8, Key: asks(a4, b4, packet.ProtoICMP, packet.QueryEcho)},
		"icmp_timestamp":              {L3: 14, L4: 34, Payload: 42, PacketEnd: 54, TTL: 64, ICMPType: 13, Key: asks(a4, b4, packet.ProtoICMP, packet.QueryTimestamp)},
		"icmp_redirect":               {L3: 14, L4: 34, Payload: 42, PacketEnd: 70, TTL: 64, ICMPType: 5, ICMPCode: 1, Key: key(a4, b4, packet.ProtoICMP, 0, 0)},
		"icmpv6_echo_reply":           {V6: true, L3: 14, L4: 54, Payload: 62, PacketEnd: 118, TTL: 64, ICMPType: 129, Key: asks(a6, b6, packet.ProtoICMPv6, packet.QueryEcho)},
		"icmp_unreachable":            {L3: 14, L4: 34, Payload: 42, PacketEnd: 70, TTL: 64, ICMPType: 3, ICMPCode: 3, Key: key(a4, b4, packet.ProtoICMP, 0, 0), ICMPError: true, Inner: quoted4, InnerL4: 62},
		"icmpv6_unreachable":          {V6: true, L3: 14, L4: 54, Payload: 62, PacketEnd: 110, TTL: 64, ICMPType: 1, ICMPCode: 4, Key: key(a6, b6, packet.ProtoICMPv6, 0, 0), ICMPError: true, Inner: quoted6, InnerL4: 102},
		"icmp_time_exceeded_of_echo":  {L3: 14, L4: 34, Payload: 42, PacketEnd: 70, TTL: 64, ICMPType: 11, Key: key(a4, b4, packet.ProtoICMP, 0, 0), ICMPError: true, Inner: asks(b4, a4, packet.ProtoICMP, packet.QueryEcho), InnerL4: 62},
		"nd_solicitation":             {Kind: packet.KindND, V6: true, L3: 14, L4: 54, Payload: 62, PacketEnd: 86, TTL: 255, ICMPType: 135, Key: key(a6, netip.MustParseAddr("ff02::1:ff00:2"), packet.ProtoICMPv6, 0, 0)},
		"arp_request":                 {Kind: packet.KindARP, L3: 14, PacketEnd: 42},
	}
	for name, want := range cases {
		f := seed(t, name)
		want.Dst, want.Src = packettest.MACB, packettest.MACA
		switch {
		case want.Kind == packet.KindARP:
			want.EtherType = packet.EtherTypeARP
		case want.V6:
			want.EtherType = packet.EtherTypeIPv6
		default:
			want.EtherType = packet.EtherTypeIPv4
		}
		if f.Headers != want {
			t.Errorf("%s:\n%+v, want\n%+v", name, f.Headers, want)
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
		if h.Kind != packet.KindFragment && layerOf(h.Key.Proto) != 0 {
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

// What is said of a plain frame is what the readers of each header say, of frames that
// are one, that nearly are, and that are cut.
func TestPlainIsWhatTheReadersSay(t *testing.T) {
	plain := seed(t, "tcp4_syn").Bytes()
	random := rand.New(rand.NewPCG(11, 4))
	passed := 0
	for range 200_000 {
		b := bytes.Clone(plain)
		b = append(b, make([]byte, random.IntN(8))...)
		for range random.IntN(3) {
			b[random.IntN(min(len(b), 54))] ^= 1 << random.IntN(8)
		}
		if random.IntN(4) > 0 { // or else most differ in the sum alone
			binary.BigEndian.PutUint16(b[24:], 0)
			binary.BigEndian.PutUint16(b[24:], ^checksum.Fold(checksum.Sum(b[14:34], 0)))
		}
		if random.IntN(8) == 0 {
			b = b[:random.IntN(len(b)+1)]
		}
		f, g := packettest.Frame(b, packet.Headroom), packettest.Frame(b, packet.Headroom)
		f.MaybePartial = random.IntN(2) == 0
		f.Offload = packet.Offload{Checksum: packet.Checksum(random.IntN(4)), CsumStart: 34, CsumOffset: 16}
		g.MaybePartial, g.Offload = f.MaybePartial, f.Offload
		got, want := packet.Parse(f), packet.ParseAny(g)
		if got != want || f.Offload != g.Offload || want == drop.None && f.Headers != g.Headers {
			t.Fatalf("%x:\n%s, %+v, want\n%s, %+v", b, got, f.Headers, want, g.Headers)
		}
		if got == drop.None {
			passed++
		}
	}
	if passed < 20_000 {
		t.Errorf("only %d of the frames are packets", passed)
	}
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
