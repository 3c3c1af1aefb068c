package packet_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"pgregory.net/rapid"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// superframe makes a parsed superframe with payload bytes, cut by size.
func superframe(t packettest.TB, gso packet.GSO, payload, size int, below ...packettest.Layer) *packet.Frame {
	t.Helper()
	src, dst := packettest.A4, packettest.B4
	if gso == packet.GSOTCP6 || gso == packet.GSOUDP6 {
		src, dst = packettest.A6, packettest.B6
	}
	var above packettest.Layer = packettest.UDP(1024, 443)
	if gso == packet.GSOTCP4 || gso == packet.GSOTCP6 {
		tcp := packettest.TCP(1024, 443, packet.TCPAckFlag|packet.TCPPsh|packet.TCPFin|packet.TCPCwr)
		tcp.Options = []layers.TCPOption{{OptionType: 8, OptionLength: 10, OptionData: []byte{1, 2, 3, 4, 5, 6, 7, 8}}}
		above = tcp
	}
	stack := append(append([]packettest.Layer{packettest.Ethernet()}, below...), packettest.IP(src, dst), above, packettest.Payload(payload))
	f := packettest.Frame(packettest.Make(stack...), packet.Headroom)
	if reason := packet.Parse(f); reason != drop.None {
		t.Fatalf("the test made a bad frame: %s", reason)
	}
	packettest.Partial(f)
	f.Offload.GSO, f.Offload.Size = gso, uint16(size)
	if reason := packet.Parse(f); reason != drop.None {
		t.Fatalf("superframe is refused: %s", reason)
	}
	return f
}

// cut returns the segments of a superframe.
func cut(t packettest.TB, f *packet.Frame) [][]byte {
	t.Helper()
	var s packet.Segmenter
	if !s.Init(f) {
		t.Fatalf("superframe cannot be cut")
	}
	var segments [][]byte
	for s.NextLen() > 0 {
		dst := make([]byte, s.NextLen())
		if n := s.Next(dst); n != len(dst) {
			t.Fatalf("Next wrote %d bytes, NextLen promised %d", n, len(dst))
		}
		segments = append(segments, dst)
	}
	return segments
}

// tunnel puts a superframe into outer headers as Encap does.
func tunnel(t packettest.TB, f *packet.Frame, src, dst netip.Addr, sum bool) {
	t.Helper()
	inner := f.Bytes()
	whole := packettest.Make(packettest.Ethernet(), packettest.IP(src, dst), packettest.UDP(5000, 4789), packettest.VXLAN(7), gopacket.Payload(inner))
	outer := len(whole) - len(inner)
	if !f.Push(uint32(outer)) {
		t.Fatalf("no headroom")
	}
	copy(f.Bytes(), whole[:outer])
	f.Outer = uint16(outer)
	if !sum {
		f.Bytes()[outer-10], f.Bytes()[outer-9] = 0, 0
	}
}

var gsoKinds = map[packet.GSO]string{
	packet.GSOTCP4: "tcp4", packet.GSOTCP6: "tcp6", packet.GSOUDP4: "udp4", packet.GSOUDP6: "udp6",
}

// Superframes of every kind, size and tunnel: the segments put together are the
// superframe's payload, and each is a right packet on its own.
func TestSegmentsAreWhatTheSenderMeant(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		gso := rapid.SampledFrom([]packet.GSO{packet.GSOTCP4, packet.GSOTCP6, packet.GSOUDP4, packet.GSOUDP6}).Draw(r, "gso")
		size := rapid.IntRange(1, 1448).Draw(r, "size")
		payload := rapid.IntRange(1, min(20*size, 60000)).Draw(r, "payload")
		var tags []packettest.Layer
		if rapid.Bool().Draw(r, "tagged") {
			tags = append(tags, packettest.Tag(7))
		}
		f := superframe(r, gso, payload, size, tags...)
		wire, want := packet.WireLen(f), bytes.Clone(f.Bytes()[f.Headers.Payload:f.Headers.PacketEnd])
		segments := packet.Segments(f)
		outer := rapid.SampledFrom([]string{"none", "ipv4", "ipv6", "ipv6 without checksum"}).Draw(r, "outer")
		switch outer {
		case "ipv4":
			tunnel(r, f, packettest.A4, packettest.B4, false)
		case "ipv6":
			tunnel(r, f, packettest.A6, packettest.B6, true)
		case "ipv6 without checksum":
			tunnel(r, f, packettest.A6, packettest.B6, false)
		}
		got := cut(r, f)
		if len(got) != segments {
			r.Fatalf("%d segments, Segments said %d", len(got), segments)
		}
		if outer != "none" {
			checkOuter(r, f, got, outer == "ipv6")
		}
		checkSegments(r, f, got, want, wire)
	})
}

// checkOuter checks the tunnel headers of each segment and takes them off.
func checkOuter(t packettest.TB, f *packet.Frame, segments [][]byte, sum bool) {
	t.Helper()
	for i, b := range segments {
		packettest.Check(t, b, packettest.Checksums, packettest.Has(layers.LayerTypeVXLAN))
		o := packettest.Frame(b, 0)
		if reason := packet.Parse(o); reason != drop.None {
			t.Errorf("outer headers of segment %d: %s", i, reason)
		}
		if got := b[f.Outer-10]|b[f.Outer-9] != 0; got != sum {
			t.Errorf("outer UDP checksum is used: %v, want %v", got, sum)
		}
		segments[i] = b[f.Outer:]
	}
}

// checkSegments checks segments that have no tunnel headers any more.
func checkSegments(t packettest.TB, f *packet.Frame, segments [][]byte, want []byte, wire int) {
	t.Helper()
	var payload []byte
	longest := 0
	for i, b := range segments {
		packettest.Check(t, b, packettest.Checksums)
		s := packettest.Frame(b, 0)
		if reason := packet.Parse(s); reason != drop.None || !packet.VerifyChecksum(s) {
			t.Fatalf("segment %d: %s", i, reason)
		}
		h := &s.Headers
		if h.Key != f.Headers.Key || int(h.PacketEnd) != len(b) {
			t.Errorf("segment %d is of another flow, or padded", i)
		}
		if h.Key.Proto == packet.ProtoTCP {
			checkTCPSegment(t, h, i, len(segments), uint32(len(payload)))
		}
		if id := uint16(b[h.L3+4])<<8 | uint16(b[h.L3+5]); !h.V6 && id != 0xfffe+uint16(i) {
			t.Errorf("segment %d: identification %04x", i, id)
		}
		longest = max(longest, packet.WireLen(s))
		payload = append(payload, b[h.Payload:h.PacketEnd]...)
	}
	if !bytes.Equal(payload, want) {
		t.Errorf("segments carry %d bytes of payload, which differ from the %d meant", len(payload), len(want))
	}
	if longest != wire {
		t.Errorf("longest segment is %d bytes of IP, WireLen said %d", longest, wire)
	}
}

func checkTCPSegment(t packettest.TB, h *packet.Headers, i, n int, before uint32) {
	t.Helper()
	want := uint8(packet.TCPAckFlag)
	if i == 0 {
		want |= packet.TCPCwr
	}
	if i == n-1 {
		want |= packet.TCPFin | packet.TCPPsh
	}
	if h.TCPFlags != want {
		t.Errorf("segment %d of %d: flags %02x, want %02x", i, n, h.TCPFlags, want)
	}
	if wantSeq := 0xfffffff0 + before; h.TCPSeq != wantSeq {
		t.Errorf("segment %d: sequence %08x, want %08x", i, h.TCPSeq, wantSeq)
	}
}

// A segment that does not fit where it is to go is not written, and is the
// next one still.
func TestSegmenterWritesWholeSegmentsOnly(t *testing.T) {
	f := superframe(t, packet.GSOTCP4, 3000, 1000)
	var s packet.Segmenter
	if !s.Init(f) {
		t.Fatal("cannot be cut")
	}
	n := s.NextLen()
	small := make([]byte, n-1)
	if got := s.Next(small); got != 0 || !bytes.Equal(small, make([]byte, n-1)) {
		t.Errorf("wrote %d bytes into %d, of a segment of %d", got, n-1, n)
	}
	if got := s.Next(make([]byte, 2000)); got != n {
		t.Errorf("Next = %d, want %d", got, n)
	}
}

// What a sender asks for must fit what it sends.
func TestOffloadIsHeldAgainstHeaders(t *testing.T) {
	type edit func(f *packet.Frame)
	cases := []struct {
		name string
		gso  packet.GSO
		edit edit
		want drop.Reason
	}{
		{"as it was", packet.GSOTCP4, func(f *packet.Frame) {}, drop.None},
		{"size zero", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.Size = 0 }, drop.BadOffload},
		{"one segment", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.Size = 0xffff }, drop.None},
		{"tcp into 1024 segments", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.Size = 3 }, drop.None},
		{"tcp into more", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.Size = 2 }, drop.BadOffload},
		{"udp into 128 datagrams", packet.GSOUDP4, func(f *packet.Frame) { f.Offload.Size = 24 }, drop.None},
		{"udp into more", packet.GSOUDP4, func(f *packet.Frame) { f.Offload.Size = 23 }, drop.BadOffload},
		{"other protocol", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.GSO = packet.GSOUDP4 }, drop.BadOffload},
		{"other family", packet.GSOTCP6, func(f *packet.Frame) { f.Offload.GSO = packet.GSOTCP4 }, drop.BadOffload},
		{"unknown kind", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.GSO = 9 }, drop.BadOffload},
		{"checksum not partial", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.Checksum = packet.ChecksumGood }, drop.BadOffload},
		{"checksum from elsewhere", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.CsumStart -= 2 }, drop.BadOffload},
		{"checksum to elsewhere", packet.GSOTCP4, func(f *packet.Frame) { f.Offload.CsumOffset = 6 }, drop.BadOffload},
		{"syn", packet.GSOTCP4, func(f *packet.Frame) { f.Bytes()[f.Headers.L4+13] |= packet.TCPSyn }, drop.BadOffload},
		{"rst", packet.GSOTCP6, func(f *packet.Frame) { f.Bytes()[f.Headers.L4+13] |= packet.TCPRst }, drop.BadOffload},
		{"udp length zero", packet.GSOUDP6, func(f *packet.Frame) { f.Bytes()[f.Headers.L4+4], f.Bytes()[f.Headers.L4+5] = 0, 0 }, drop.None},
		{"udp length of a segment", packet.GSOUDP6, func(f *packet.Frame) { f.Bytes()[f.Headers.L4+4] = 1 }, drop.BadTransport},
	}
	for _, c := range cases {
		f := superframe(t, c.gso, 3072, 1000)
		c.edit(f)
		if got := packet.Parse(f); got != c.want {
			t.Errorf("%s, %s: %s, want %s", gsoKinds[c.gso], c.name, got, c.want)
		}
		if c.want == drop.None && f.Offload.HeaderLen != f.Headers.Payload {
			t.Errorf("%s: header length %d, want %d", c.name, f.Offload.HeaderLen, f.Headers.Payload)
		}
	}
}

// Frames with nothing to finish or to cut may not ask for it.
func TestOffloadOfOtherProtocols(t *testing.T) {
	for _, s := range packettest.Seeds() {
		plain := packettest.Frame(s.Bytes, 0)
		if packet.Parse(plain) != drop.None {
			continue
		}
		f := packettest.Frame(s.Bytes, 0)
		f.Offload = packet.Offload{Checksum: packet.ChecksumPartial, CsumStart: plain.Headers.L4, CsumOffset: 6, GSO: packet.GSOUDP4, Size: 100}
		want := drop.BadOffload
		if h := &plain.Headers; h.Kind == packet.KindIP && !h.V6 && h.Key.Proto == packet.ProtoUDP {
			want = drop.None
		}
		if got := packet.Parse(f); got != want {
			t.Errorf("%s: %s, want %s", s.Name, got, want)
		}
	}
}

// A partial checksum is told from a whole one without a mark, where the port
// could not set one, and finished it is the one that the sender would have
// written.
func TestPartialChecksums(t *testing.T) {
	for _, s := range packettest.Seeds() {
		f := packettest.Frame(s.Bytes, packet.Headroom)
		f.MaybePartial = true
		h := &f.Headers
		if packet.Parse(f) != drop.None || h.Kind != packet.KindIP || h.Key.Proto != packet.ProtoTCP && h.Key.Proto != packet.ProtoUDP {
			continue
		}
		if f.Offload.Checksum != packet.ChecksumUnknown {
			t.Errorf("%s: a whole checksum is taken for a partial one", s.Name)
		}
		packettest.Partial(f)
		marked := f.Offload
		for _, maybe := range []bool{false, true} {
			f.Offload, f.MaybePartial = packet.Offload{}, maybe
			if reason := packet.Parse(f); reason != drop.None {
				t.Errorf("%s: %s", s.Name, reason)
			}
			if found := f.Offload.Checksum == packet.ChecksumPartial; found != maybe {
				t.Errorf("%s: told that it may be partial: %v; found: %v", s.Name, maybe, found)
			}
		}
		if got := f.Offload; got.CsumStart != marked.CsumStart || got.CsumOffset != marked.CsumOffset || got.HeaderLen != h.Payload {
			t.Errorf("%s: found %+v, want as %+v", s.Name, got, marked)
		}
		packet.FinishChecksum(f)
		if f.Offload.Checksum != packet.ChecksumGood {
			t.Errorf("%s: not marked good", s.Name)
		}
		packettest.Check(t, f.Bytes(), packettest.Checksums)
	}
}

// What is known of a checksum is not guessed at: a bad one must not be mended.
func TestPartialChecksumKeepsWhatIsKnown(t *testing.T) {
	for _, state := range []packet.Checksum{packet.ChecksumGood, packet.ChecksumBad} {
		f := seed(t, "tcp4_syn")
		packettest.Partial(f)
		f.Offload, f.MaybePartial = packet.Offload{Checksum: state}, true
		if packet.Parse(f); f.Offload.Checksum != state {
			t.Errorf("state %d became %d", state, f.Offload.Checksum)
		}
	}
}

// Inside a tunnel it is the inner checksum that is finished.
func TestFinishChecksumInATunnel(t *testing.T) {
	f := superframe(t, packet.GSOTCP6, 1000, 1000)
	f.Offload.GSO = packet.GSONone
	tunnel(t, f, packettest.A4, packettest.B4, false)
	packet.FinishChecksum(f)
	packettest.Check(t, f.Bytes(), packettest.Checksums)
}

// A bad checksum is never mended by cutting.
func TestBadChecksumIsNotCut(t *testing.T) {
	f := superframe(t, packet.GSOTCP4, 3000, 1000)
	f.Offload.Checksum = packet.ChecksumBad
	if new(packet.Segmenter).Init(f) {
		t.Error("a superframe with a bad checksum can be cut")
	}
}

func TestVerifyChecksum(t *testing.T) {
	for _, s := range packettest.Seeds() {
		f := packettest.Frame(s.Bytes, 0)
		// The seeds whose checksums were left as the edit before made them.
		if packet.Parse(f) != drop.None || f.Headers.Kind == packet.KindARP || !sumsRight(s.Bytes) {
			continue
		}
		if !packet.VerifyChecksum(f) {
			t.Errorf("%s: a right checksum is refused", s.Name)
		}
		if p := f.Headers.Key.Proto; p == packet.ProtoSCTP || p == 47 || p == 50 || f.Headers.Kind == packet.KindFragment {
			continue
		}
		f.Bytes()[f.Headers.PacketEnd-1] ^= 1
		if packet.VerifyChecksum(f) {
			t.Errorf("%s: a wrong checksum passes", s.Name)
		}
	}
	udp := packettest.Frame(packettest.Make(packettest.Ethernet(), packettest.IPv4(packettest.A4, packettest.B4), packettest.UDP(1, 2)), 0)
	packet.Parse(udp)
	udp.Bytes()[40], udp.Bytes()[41] = 0, 0
	if !packet.VerifyChecksum(udp) {
		t.Error("UDP over IPv4 may do without a checksum (RFC 768)")
	}
	udp6 := packettest.Frame(packettest.Make(packettest.Ethernet(), packettest.IPv6(packettest.A6, packettest.B6), packettest.UDP(1, 2)), 0)
	packet.Parse(udp6)
	udp6.Bytes()[60], udp6.Bytes()[61] = 0, 0
	if packet.VerifyChecksum(udp6) {
		t.Error("UDP over IPv6 may not do without a checksum (RFC 8200 8.1)")
	}
}

// sumsRight asks gopacket and a slow sum.
func sumsRight(b []byte) bool {
	return packettest.Checksums(gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)) == nil
}

func TestSegmenterAllocatesNothing(t *testing.T) {
	f := superframe(t, packet.GSOTCP4, 60000, 1448)
	dst := make([]byte, 2000)
	if n := testing.AllocsPerRun(10, func() {
		var s packet.Segmenter
		for s.Init(f); s.Next(dst) > 0; {
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkSegment(b *testing.B) {
	for _, gso := range []packet.GSO{packet.GSOTCP4, packet.GSOTCP6, packet.GSOUDP4} {
		b.Run(fmt.Sprintf("%s/60000", gsoKinds[gso]), func(b *testing.B) {
			f := superframe(b, gso, 60000, 1448)
			dst := make([]byte, 2000)
			b.SetBytes(int64(f.Len()))
			for b.Loop() {
				var s packet.Segmenter
				for s.Init(f); s.Next(dst) > 0; {
				}
			}
		})
	}
}
