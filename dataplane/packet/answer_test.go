package packet_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

var (
	gatewayMAC = packet.MAC{2, 0, 0, 0, 0, 0xfe}
	gateway4   = netip.MustParseAddr("10.0.0.254")
	gateway6   = netip.MustParseAddr("2001:db8::fe")
)

// seed returns a parsed legal frame of that name.
func seed(t testing.TB, name string) *packet.Frame {
	t.Helper()
	for _, s := range packettest.Seeds() {
		if s.Name == name {
			f := packettest.Frame(s.Bytes, packet.Headroom)
			if reason := packet.Parse(f); reason != drop.None {
				t.Fatalf("%s: %s", name, reason)
			}
			return f
		}
	}
	t.Fatalf("no seed %q", name)
	return nil
}

// inStep reports where Headers differ from what the bytes now say.
func inStep(t testing.TB, f *packet.Frame) {
	t.Helper()
	got := f.Headers
	if reason := packet.Parse(f); reason != drop.None {
		t.Errorf("the answer is refused: %s\n%x", reason, f.Bytes())
	} else if got != f.Headers {
		t.Errorf("Headers are\n%+v, the bytes say\n%+v", got, f.Headers)
	}
}

func TestAnswerARP(t *testing.T) {
	for _, padding := range []int{0, 18} {
		b := append(packettest.Make(packettest.Ethernet(), packettest.ARP(packet.ARPRequest, packettest.A4, packettest.B4)), make([]byte, padding)...)
		f := packettest.Frame(b, packet.Headroom)
		packet.Parse(f)
		if !packet.AnswerARP(f, gatewayMAC) {
			t.Fatal("not answered")
		}
		a := packet.ARPOf(f)
		want := packet.ARP{
			Op:        packet.ARPReply,
			SenderMAC: gatewayMAC, SenderIP: packettest.Addr(packettest.B4),
			TargetMAC: packettest.MACA, TargetIP: packettest.Addr(packettest.A4),
		}
		if a != want || f.Len() != 42 {
			t.Errorf("reply of %d bytes says\n%+v, want\n%+v", f.Len(), a, want)
		}
		packettest.Check(t, f.Bytes(), packettest.MACs(packettest.MACA, gatewayMAC))
		inStep(t, f)
		if packet.AnswerARP(f, gatewayMAC) {
			t.Error("a reply was answered")
		}
	}
}

func TestAnswerND(t *testing.T) {
	cases := []struct {
		seed   string
		router bool
		to     string
		toMAC  packet.MAC
		flags  uint8
	}{
		{"nd_solicitation", false, "2001:db8::1", packettest.MACA, 0x60},
		{"nd_solicitation", true, "2001:db8::1", packettest.MACA, 0xe0},
		{"nd_solicitation_without_option", false, "2001:db8::1", packettest.MACA, 0x60},
		{"nd_duplicate_detection", false, "ff02::1", packet.MAC{0x33, 0x33, 0, 0, 0, 1}, 0x20},
	}
	for _, c := range cases {
		for _, tags := range []int{0, 2} {
			f := seed(t, c.seed)
			for range tags {
				packet.PushVLAN(f, packet.EtherTypeVLAN, 5)
			}
			if !packet.AnswerND(f, gatewayMAC, c.router) {
				t.Errorf("%s: not answered", c.seed)
				continue
			}
			n, flags := packet.NDOf(f), f.Bytes()[f.Headers.L4+4]
			want := packet.ND{Target: packettest.Addr(packettest.B6), LinkAddr: gatewayMAC, HasLinkAddr: true}
			if n != want || flags != c.flags {
				t.Errorf("%s: advertisement says %+v, flags %02x; want %+v, %02x", c.seed, n, flags, want, c.flags)
			}
			packettest.Check(t, f.Bytes(), packettest.Checksums, packettest.MACs(c.toMAC, gatewayMAC), packettest.TTL(255),
				packettest.From(packettest.B6, netip.MustParseAddr(c.to)), packettest.ICMPIs(136, 0))
			inStep(t, f)
		}
	}
	if packet.AnswerND(seed(t, "nd_advertisement"), gatewayMAC, false) {
		t.Error("an advertisement was answered")
	}
	full := seed(t, "nd_solicitation_without_option")
	full.Buf = full.Buf[:full.End]
	if packet.AnswerND(full, gatewayMAC, false) {
		t.Error("an answer was written behind the memory")
	}
}

func TestAnswerEcho(t *testing.T) {
	for name, icmp := range map[string]uint8{"icmp_echo_request": 0, "icmpv6_echo_request": 129} {
		f := seed(t, name)
		packet.DecTTL(f) // so that the reply's is another
		body := bytes.Clone(f.Bytes()[f.Headers.L4+4:])
		src, dst := f.Headers.Key.Src.Netip(), f.Headers.Key.Dst.Netip()
		if !packet.AnswerEcho(f) {
			t.Errorf("%s: not answered", name)
			continue
		}
		packettest.Check(t, f.Bytes(), packettest.Checksums, packettest.MACs(packettest.MACA, packettest.MACB),
			packettest.From(dst, src), packettest.ICMPIs(icmp, 0), packettest.TTL(64))
		if !bytes.Equal(body, f.Bytes()[f.Headers.L4+4:]) {
			t.Errorf("%s: identifier, sequence or data differ", name)
		}
		inStep(t, f)
		if packet.AnswerEcho(f) {
			t.Errorf("%s: its reply was answered", name)
		}
	}
}

// Whatever the request's checksum was, the reply's is right when it was right,
// and wrong when it was wrong: the switch must not vouch for damaged data.
func TestAnswerEchoKeepsChecksumState(t *testing.T) {
	for id := range 0x10000 {
		f := packet.NewFrame(echo(uint16(id)), 0)
		packet.Parse(f)
		if packet.AnswerEcho(f); !packet.VerifyChecksum(f) {
			t.Fatalf("identifier %04x: reply has a wrong checksum", id)
		}
	}
	f := seed(t, "icmp_echo_request")
	f.Bytes()[f.Headers.PacketEnd-1] ^= 1
	packet.AnswerEcho(f)
	if packet.VerifyChecksum(f) {
		t.Error("a damaged request got a reply with a right checksum")
	}
}

func echo(id uint16) []byte {
	b, err := packet.Build(packet.Spec{
		SrcMAC: packettest.MACA, DstMAC: packettest.MACB, Src: packettest.Addr(packettest.A4), Dst: packettest.Addr(packettest.B4),
		Proto: packet.ProtoICMP, ICMPType: packet.ICMPEchoRequest, ICMPID: id,
	})
	if err != nil {
		panic(err)
	}
	return b
}

// An answer is not made of a frame that was cut short, or sent to a group.
func TestAnswersRefuse(t *testing.T) {
	short := seed(t, "icmp_echo_request")
	short.End--
	if packet.AnswerEcho(short) {
		t.Error("a request cut short was answered")
	}
	arp := seed(t, "arp_request")
	arp.End--
	if packet.AnswerARP(arp, gatewayMAC) {
		t.Error("an ARP request cut short was answered")
	}
	group := packettest.Frame(packettest.Make(packettest.Ethernet(), packettest.IPv4(packettest.A4, netip.MustParseAddr("224.0.0.1")), packettest.ICMP(8, 0, 1, 1)), packet.Headroom)
	packet.Parse(group)
	if packet.AnswerEcho(group) {
		t.Error("a request to a group was answered (RFC 1122 3.2.2.6)")
	}
}

func TestAnswerError(t *testing.T) {
	big4 := packettest.Make(packettest.Ethernet(), packettest.IPv4(packettest.A4, packettest.B4), packettest.TCP(1024, 443, packet.TCPAckFlag), packettest.Payload(3000))
	big6 := packettest.Make(packettest.Ethernet(), packettest.IPv6(packettest.A6, packettest.B6), packettest.UDP(1024, 443), packettest.Payload(3000))
	short := append(bytes.Clone(seed(t, "tcp4_syn").Bytes()), make([]byte, 6)...)
	cases := []struct {
		name       string
		frame      []byte
		kind       packet.ErrorKind
		mtu        uint32
		icmp, code uint8
		length     int // of the IP packet
	}{
		{"time exceeded", big4, packet.ErrorTimeExceeded, 1400, 11, 0, 576},
		{"fragmentation needed", big4, packet.ErrorTooBig, 1400, 3, 4, 576},
		{"fragmentation needed, mtu beyond 16 bits", big4, packet.ErrorTooBig, 70000, 3, 4, 576},
		{"no route", big4, packet.ErrorNoRoute, 0, 3, 0, 576},
		{"no host", big4, packet.ErrorNoHost, 1400, 3, 1, 576},
		{"prohibited", big4, packet.ErrorProhibited, 0, 3, 13, 576},
		{"time exceeded", big6, packet.ErrorTimeExceeded, 1400, 3, 0, 1280},
		{"too big", big6, packet.ErrorTooBig, 1400, 2, 0, 1280},
		{"no route", big6, packet.ErrorNoRoute, 0, 1, 0, 1280},
		{"no host", big6, packet.ErrorNoHost, 0, 1, 3, 1280},
		{"prohibited", big6, packet.ErrorProhibited, 0, 1, 1, 1280},
		{"short packet whole, padding not", short, packet.ErrorTimeExceeded, 0, 11, 0, 20 + 8 + 40},
	}
	for _, c := range cases {
		for _, tags := range []int{0, 2} {
			f := packettest.Frame(c.frame, packet.Headroom)
			packet.Parse(f)
			quoted := bytes.Clone(f.Bytes()[f.Headers.L3:f.Headers.PacketEnd])
			key := f.Headers.Key
			for range tags {
				packet.PushVLAN(f, packet.EtherTypeVLAN, 5)
			}
			from := gateway4
			if f.Headers.V6 {
				from = gateway6
			}
			addr := packettest.Addr(from)
			if !packet.MayAnswerWithError(f) || !packet.AnswerError(f, c.kind, c.mtu, gatewayMAC, &addr) {
				t.Errorf("%s: no error was made", c.name)
				continue
			}
			h := &f.Headers
			packettest.Check(t, f.Bytes(), packettest.Checksums, packettest.MACs(packettest.MACA, gatewayMAC),
				packettest.From(from, key.Src.Netip()), packettest.ICMPIs(c.icmp, c.code))
			if !h.ICMPError || h.Inner != key || int(h.VLANs) != tags {
				t.Errorf("%s: Inner is %+v, want %+v; %d tags", c.name, h.Inner, key, h.VLANs)
			}
			if got := int(h.PacketEnd) - int(h.L3); got != c.length || int(h.PacketEnd) != f.Len() {
				t.Errorf("%s: %d bytes of IP, want %d", c.name, got, c.length)
			}
			if quote := f.Bytes()[h.Payload:h.PacketEnd]; !bytes.HasPrefix(quoted, quote) {
				t.Errorf("%s: the quote is not the packet", c.name)
			}
			field := f.Bytes()[h.L4+4 : h.L4+8]
			got := uint32(field[0])<<24 | uint32(field[1])<<16 | uint32(field[2])<<8 | uint32(field[3])
			want := uint32(0)
			if c.kind == packet.ErrorTooBig {
				want = min(c.mtu, 0xffff)
			}
			if got != want {
				t.Errorf("%s: MTU field is %d, want %d", c.name, got, want)
			}
			if packet.MayAnswerWithError(f) {
				t.Errorf("%s: an error may be answered with an error", c.name)
			}
		}
	}
}

// Room that is missing is noticed, a family that does not fit, too.
func TestAnswerErrorRefuses(t *testing.T) {
	from4, from6 := packettest.Addr(gateway4), packettest.Addr(gateway6)
	f := packettest.Frame(seed(t, "tcp4_syn").Bytes(), 27)
	packet.Parse(f)
	if packet.AnswerError(f, packet.ErrorTimeExceeded, 0, gatewayMAC, &from4) {
		t.Error("28 bytes of headers were put into 27 of headroom")
	}
	if packet.AnswerError(seed(t, "tcp4_syn"), packet.ErrorTimeExceeded, 0, gatewayMAC, &from6) {
		t.Error("an IPv4 packet was answered over IPv6")
	}
	if packet.AnswerError(seed(t, "arp_request"), packet.ErrorTimeExceeded, 0, gatewayMAC, &from4) {
		t.Error("ARP was answered with ICMP")
	}
}

// What no error may be about (RFC 1122 3.2.2, RFC 4443 2.4 e).
func TestMayAnswerWithError(t *testing.T) {
	tcp := func(src, dst string) []byte {
		return packettest.Make(packettest.Ethernet(), packettest.IP(netip.MustParseAddr(src), netip.MustParseAddr(dst)), packettest.TCP(1, 2, packet.TCPSyn))
	}
	group := packettest.Ethernet()
	group.DstMAC = []byte{1, 0, 0x5e, 0, 0, 5}
	cases := map[string]struct {
		frame []byte
		may   bool
	}{
		"unicast":                   {tcp("10.0.0.1", "10.0.0.2"), true},
		"unicast_v6":                {tcp("2001:db8::1", "2001:db8::2"), true},
		"to_multicast":              {tcp("10.0.0.1", "224.0.0.5"), false},
		"to_multicast_v6":           {tcp("2001:db8::1", "ff02::5"), false},
		"to_broadcast":              {tcp("10.0.0.1", "255.255.255.255"), false},
		"from_nobody":               {tcp("0.0.0.0", "10.0.0.2"), false},
		"from_nobody_v6":            {tcp("::", "2001:db8::2"), false},
		"from_multicast":            {tcp("224.0.0.5", "10.0.0.2"), false},
		"to_group_mac":              {packettest.Make(group, packettest.IPv4(packettest.A4, packettest.B4), packettest.TCP(1, 2, packet.TCPSyn)), false},
		"redirect":                  {seed(t, "icmp_redirect").Bytes(), false},
		"error":                     {seed(t, "icmp_unreachable").Bytes(), false},
		"error_v6":                  {seed(t, "icmpv6_too_big").Bytes(), false},
		"unknown_error_v6":          {packettest.Make(packettest.Ethernet(), packettest.IPv6(packettest.A6, packettest.B6), packettest.ICMPv6(100, 0), packettest.Raw(0, 0, 0, 0)), false},
		"echo":                      {seed(t, "icmp_echo_request").Bytes(), true},
		"neighbour_discovery":       {seed(t, "nd_advertisement").Bytes(), false},
		"address_resolution":        {seed(t, "arp_request").Bytes(), false},
		"timestamp_is_not_an_error": {seed(t, "icmp_timestamp").Bytes(), true},
	}
	for name, c := range cases {
		f := packettest.Frame(c.frame, packet.Headroom)
		if reason := packet.Parse(f); reason != drop.None {
			t.Errorf("%s: %s", name, reason)
		}
		if got := packet.MayAnswerWithError(f); got != c.may {
			t.Errorf("%s: %v, want %v", name, got, c.may)
		}
	}
}

func TestSolicit(t *testing.T) {
	f := packettest.Frame(nil, packet.Headroom)
	from, target := packettest.Addr(packettest.A4), packettest.Addr(packettest.B4)
	if !packet.Solicit(f, packettest.MACA, &from, &target) {
		t.Fatal("no ARP request was made")
	}
	want := packet.ARP{Op: packet.ARPRequest, SenderMAC: packettest.MACA, SenderIP: from, TargetIP: target}
	if got := packet.ARPOf(f); got != want || !f.Headers.Dst.IsMulticast() {
		t.Errorf("asks %+v, want %+v", got, want)
	}
	from, target = packettest.Addr(packettest.A6), packettest.Addr(netip.MustParseAddr("2001:db8::12:3456"))
	if !packet.Solicit(f, packettest.MACA, &from, &target) {
		t.Fatal("no solicitation was made")
	}
	packettest.Check(t, f.Bytes(), packettest.Checksums, packettest.ICMPIs(135, 0), packettest.TTL(255),
		packettest.MACs(packet.MAC{0x33, 0x33, 0xff, 0x12, 0x34, 0x56}, packettest.MACA),
		packettest.From(packettest.A6, netip.MustParseAddr("ff02::1:ff12:3456")))
	if n := packet.NDOf(f); n != (packet.ND{Target: target, LinkAddr: packettest.MACA, HasLinkAddr: true}) {
		t.Errorf("asks %+v", n)
	}
	from = packettest.Addr(packettest.A4)
	if packet.Solicit(f, packettest.MACA, &from, &target) {
		t.Error("an IPv4 address asks for an IPv6 one")
	}
	f.Buf = f.Buf[:f.Start+85]
	if from = packettest.Addr(packettest.A6); packet.Solicit(f, packettest.MACA, &from, &target) {
		t.Error("86 bytes were written into 85")
	}
}

// A TTL counted down keeps the header checksum right, for every TTL and every
// checksum it can have.
func TestDecTTL(t *testing.T) {
	for id := range 2000 {
		ip := packettest.IPv4(packettest.A4, packettest.B4)
		ip.Id, ip.TTL = uint16(id*33), uint8(1+id%255)
		f := packettest.Frame(packettest.Make(packettest.Ethernet(), ip, packettest.UDP(1, 2)), 0)
		packet.Parse(f)
		packet.DecTTL(f)
		if f.Headers.TTL != ip.TTL-1 || f.Bytes()[14+8] != ip.TTL-1 {
			t.Fatalf("TTL %d became %d", ip.TTL, f.Headers.TTL)
		}
		inStep(t, f)
	}
	f := seed(t, "tcp6_syn")
	packet.DecTTL(f)
	packettest.Check(t, f.Bytes(), packettest.Checksums, packettest.TTL(63))
	inStep(t, f)
}

func TestSetMACs(t *testing.T) {
	f := seed(t, "tcp6_syn")
	packet.SetMACs(f, gatewayMAC, packettest.MACB)
	packettest.Check(t, f.Bytes(), packettest.MACs(gatewayMAC, packettest.MACB))
	inStep(t, f)
}

// Every type of service and traffic class, over every other, with the rest of
// the header as it was and its checksum right.
func TestSetTOS(t *testing.T) {
	for _, name := range []string{"tcp4_syn", "tcp6_syn"} {
		f := seed(t, name)
		want := bytes.Clone(f.Bytes())
		for i := range 0x10000 {
			packet.SetTOS(f, uint8(i>>8))
			packet.SetTOS(f, uint8(i))
			if got := f.TOS(); got != uint8(i) {
				t.Fatalf("%s: %02x was written, %02x is read", name, uint8(i), got)
			}
			if reason := packet.Parse(f); reason != drop.None {
				t.Fatalf("%s: %02x over %02x: %s", name, uint8(i), i>>8, reason)
			}
		}
		if packet.SetTOS(f, 0); !bytes.Equal(f.Bytes(), want) {
			t.Errorf("%s: another frame than before:\n%x, want\n%x", name, f.Bytes(), want)
		}
	}
}

// Of what is no superframe the length on a wire is the packet's, padding not
// counted, ARP's too: flooding holds it against an MTU.
func TestWireLen(t *testing.T) {
	for name, want := range map[string]int{"tcp4_syn": 40, "two_tags_qinq": 40, "tcp6_syn": 60, "arp_request": 28, "nd_solicitation": 72} {
		f := packettest.Frame(append(bytes.Clone(seed(t, name).Bytes()), make([]byte, 10)...), 0)
		packet.Parse(f)
		if got := packet.WireLen(f); got != want || packet.Segments(f) != 1 {
			t.Errorf("%s: %d bytes in %d frames, want %d in 1", name, got, packet.Segments(f), want)
		}
	}
}

// A tag in front of a frame with work left by the sender moves that work.
func TestTagsMoveOffload(t *testing.T) {
	f := superframe(t, packet.GSOTCP4, 3000, 1000)
	before := f.Offload
	packet.PushVLAN(f, packet.EtherTypeVLAN, 5)
	inStep(t, f)
	for _, b := range cut(t, f) {
		packettest.Check(t, b, packettest.Checksums, packettest.Has(layers.LayerTypeDot1Q))
	}
	if _, found := packet.PopVLAN(f); !found || f.Offload != before {
		t.Errorf("offload is %+v, was %+v", f.Offload, before)
	}
	full := packettest.Frame(seed(t, "tcp4_syn").Bytes(), 3)
	packet.Parse(full)
	if packet.PushVLAN(full, packet.EtherTypeVLAN, 5) {
		t.Error("4 bytes of tag were put into 3 of headroom")
	}
	if two := seed(t, "two_tags_qinq"); packet.PushVLAN(two, packet.EtherTypeVLAN, 5) {
		t.Error("a third tag was pushed")
	}
}

func TestAnswersAllocateNothing(t *testing.T) {
	from := packettest.Addr(gateway4)
	for name, answer := range map[string]func(f *packet.Frame) bool{
		"arp_request":       func(f *packet.Frame) bool { return packet.AnswerARP(f, gatewayMAC) },
		"nd_solicitation":   func(f *packet.Frame) bool { return packet.AnswerND(f, gatewayMAC, true) },
		"icmp_echo_request": packet.AnswerEcho,
		"tcp4_syn": func(f *packet.Frame) bool {
			return packet.AnswerError(f, packet.ErrorTimeExceeded, 0, gatewayMAC, &from)
		},
	} {
		f := seed(t, name)
		original := bytes.Clone(f.Buf)
		start, end := f.Start, f.End
		if n := testing.AllocsPerRun(20, func() {
			copy(f.Buf, original)
			f.Begin(f.Buf, start, end, 0)
			if packet.Parse(f) != drop.None || !answer(f) {
				t.Error(name, "is not answered")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// Build and gopacket make the same bytes of the same flow.
func TestBuildIsWhatGopacketMakes(t *testing.T) {
	a4, b4, a6, b6 := packettest.Addr(packettest.A4), packettest.Addr(packettest.B4), packettest.Addr(packettest.A6), packettest.Addr(packettest.B6)
	payload := packettest.Payload(9)
	ip4 := func() packettest.Layer {
		ip := packettest.IPv4(packettest.A4, packettest.B4)
		ip.Id = 0
		return ip
	}
	tcp := packettest.TCP(1024, 443, packet.TCPSyn|packet.TCPAckFlag)
	tcp.Window = 65535
	sctp := packettest.SCTP(1024, 443)
	sctp.VerificationTag = 0
	build := func(s packet.Spec) []byte {
		s.SrcMAC, s.DstMAC = packettest.MACA, packettest.MACB
		b, err := packet.Build(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tagged := func(l ...packettest.Layer) []byte {
		return packettest.Make(append([]packettest.Layer{packettest.Ethernet(), packettest.Tag(7)}, l...)...)
	}
	cases := map[string]struct{ got, want []byte }{
		"tcp4": {
			build(packet.Spec{Src: a4, Dst: b4, Proto: packet.ProtoTCP, SrcPort: 1024, DstPort: 443, TCPFlags: packet.TCPSyn | packet.TCPAckFlag, Seq: 0xfffffff0, Ack: 7, Payload: payload}),
			packettest.Make(packettest.Ethernet(), ip4(), tcp, payload),
		},
		"udp6": {
			build(packet.Spec{Src: a6, Dst: b6, Proto: packet.ProtoUDP, SrcPort: 1024, DstPort: 443, Payload: payload}),
			packettest.Make(packettest.Ethernet(), packettest.IPv6(packettest.A6, packettest.B6), packettest.UDP(1024, 443), payload),
		},
		"sctp4_tagged": {
			build(packet.Spec{Src: a4, Dst: b4, Proto: packet.ProtoSCTP, SrcPort: 1024, DstPort: 443, VLANs: []uint16{7}, Payload: payload}),
			tagged(ip4(), sctp, payload),
		},
		"icmp": {
			build(packet.Spec{Src: a4, Dst: b4, Proto: packet.ProtoICMP, ICMPType: 8, ICMPID: 77, ICMPSeq: 1, Payload: payload}),
			packettest.Make(packettest.Ethernet(), ip4(), packettest.ICMP(8, 0, 77, 1), payload),
		},
		"arp": {
			build(packet.Spec{Src: a4, Dst: b4, ARP: packet.ARPRequest}),
			packettest.Make(packettest.Ethernet(), packettest.ARP(1, packettest.A4, packettest.B4)),
		},
		"nd": {
			build(packet.Spec{Src: a6, Dst: b6, Proto: packet.ProtoICMPv6, ICMPType: packet.NDNeighbourAdvertisement, Target: a6}),
			packettest.ND(136, packettest.A6, packettest.B6, 255, append(append([]byte{0x60, 0, 0, 0}, a6[:]...), 2, 1, 2, 0, 0, 0, 0, 0xa)...),
		},
	}
	for name, c := range cases {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s:\n%x, gopacket makes\n%x", name, c.got, c.want)
		}
	}
}

// Every neighbour discovery message that Build makes is one that Parse takes.
func TestBuildMakesLegalND(t *testing.T) {
	for kind := uint8(packet.NDRouterSolicitation); kind <= packet.NDRedirect; kind++ {
		b, err := packet.Build(packet.Spec{
			SrcMAC: packettest.MACA, DstMAC: packettest.MACB, Proto: packet.ProtoICMPv6, ICMPType: kind,
			Src: packettest.Addr(packettest.A6), Dst: packettest.Addr(packettest.B6), Target: packettest.Addr(packettest.A6),
		})
		if err != nil {
			t.Fatal(err)
		}
		f := packet.NewFrame(b, 0)
		if reason := packet.Parse(f); reason != drop.None || !packet.VerifyChecksum(f) {
			t.Errorf("type %d: %s", kind, reason)
		}
		if n := packet.NDOf(f); !n.HasLinkAddr || n.LinkAddr != packettest.MACA {
			t.Errorf("type %d has no link-layer option: %+v", kind, n)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	a4, a6 := packettest.Addr(packettest.A4), packettest.Addr(packettest.A6)
	for name, s := range map[string]packet.Spec{
		"two_families":   {Src: a4, Dst: a6},
		"arp_over_ipv6":  {Src: a6, Dst: a6, ARP: 1},
		"arp_operation":  {Src: a4, Dst: a4, ARP: 3},
		"icmp_over_ipv6": {Src: a6, Dst: a6, Proto: packet.ProtoICMP},
		"icmpv6_on_ipv4": {Src: a4, Dst: a4, Proto: packet.ProtoICMPv6},
		"three_tags":     {Src: a4, Dst: a4, VLANs: []uint16{1, 2, 3}},
		"too_long":       {Src: a4, Dst: a4, Proto: packet.ProtoUDP, Payload: make([]byte, 65536)},
	} {
		if b, err := packet.Build(s); err == nil {
			t.Errorf("%s: %d bytes were made", name, len(b))
		}
	}
}

func TestDescribe(t *testing.T) {
	for name, want := range map[string]string{
		"tcp4_syn":               "10.0.0.1:1024 > 10.0.0.2:443 tcp syn",
		"two_tags_qinq":          "10.0.0.1:1024 > 10.0.0.2:443 tcp syn vlan 7.8",
		"tcp6_data":              "[2001:db8::1]:1024 > [2001:db8::2]:443 tcp psh,ack",
		"udp6":                   "[2001:db8::1]:1024 > [2001:db8::2]:2049 udp",
		"sctp4":                  "10.0.0.1:1024 > 10.0.0.2:3868 sctp",
		"ipv4_gre":               "10.0.0.1 > 10.0.0.2 proto 47",
		"icmp_echo_request":      "10.0.0.1 > 10.0.0.2 icmp echo request id 77",
		"icmp_unreachable":       "10.0.0.1 > 10.0.0.2 icmp type 3 code 3 about 10.0.0.2:443 > 10.0.0.1:1024 tcp",
		"icmpv6_echo_reply":      "2001:db8::1 > 2001:db8::2 icmpv6 echo reply id 77",
		"arp_request":            "arp who-has 10.0.0.2 tell 10.0.0.1 (02:00:00:00:00:0a)",
		"arp_reply":              "arp 10.0.0.1 is-at 02:00:00:00:00:0a",
		"nd_solicitation":        "2001:db8::1 > ff02::1:ff00:2 nd neighbour solicitation 2001:db8::2",
		"nd_router_solicitation": "2001:db8::1 > ff02::1 nd router solicitation",
	} {
		if got := packet.Describe(seed(t, name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, want := packet.Describe(superframe(t, packet.GSOTCP4, 3000, 1000)), "10.0.0.1:1024 > 10.0.0.2:443 tcp fin,psh,ack,cwr superframe of 3 x 1000"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestParseMAC(t *testing.T) {
	if got, err := packet.ParseMAC("02:00:5E:10:00:fF"); err != nil || got != (packet.MAC{2, 0, 0x5e, 0x10, 0, 0xff}) {
		t.Errorf("got %s, %v", got, err)
	}
	for _, bad := range []string{"", "02:00:5e:10:00", "02:00:5e:10:00:ff:01", "02-00-5e-10-00-ff", "02:00:5e:10:00:fg", "02:00:5e:10:00:+f", " 2:00:5e:10:00:ff"} {
		if got, err := packet.ParseMAC(bad); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
}
