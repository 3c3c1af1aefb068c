package vxlan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// The overlay of these tests: two segments, peer 1 over IPv4 in both, peer 2
// over IPv6 in the first only.
const (
	vni0, vni1 = 0x123456, MaxVNI
	port       = 8472 // not the default, so that it shows
)

var (
	local4, peer4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	local6, peer6 = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")

	underlayMAC, hopMAC = packet.MAC{2, 0xaa, 0, 0, 0, 1}, packet.MAC{2, 0xaa, 0, 0, 0, 2}
)

func newTable(t *testing.T) *Table {
	t.Helper()
	table, err := newBuilder().Build()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func newBuilder() *Builder {
	b := NewBuilder()
	b.Port(port)
	b.Local(packet.AddrFrom(local4))
	b.Local(packet.AddrFrom(local6))
	b.Segment(0, vni0)
	b.Segment(1, vni1)
	b.Peer(1, packet.AddrFrom(peer4), []uint16{0, 1})
	b.Peer(2, packet.AddrFrom(peer6), []uint16{0})
	return b
}

// side is a family of the underlay.
type side struct {
	name        string
	local, peer netip.Addr
	number      uint16
	overhead    int
}

var sides = []side{{"ipv4", local4, peer4, 1, Overhead4}, {"ipv6", local6, peer6, 2, Overhead6}}

// parsed makes a parsed frame of b, with so much headroom.
func parsed(t *testing.T, b []byte, headroom int) *packet.Frame {
	t.Helper()
	f := packettest.Frame(b, headroom)
	if reason := packet.Parse(f); reason != drop.None {
		t.Fatal(reason)
	}
	return f
}

// inners are frames of every kind that a tunnel carries.
func inners() map[string][]byte {
	out := map[string][]byte{}
	for _, s := range packettest.Seeds() {
		if slices.Contains([]string{"tcp4_syn", "tcp6_data", "udp6", "icmp_echo_request", "arp_request", "nd_solicitation", "vxlan4"}, s.Name) {
			out[s.Name] = s.Bytes
		}
	}
	return out
}

// What Encap writes, gopacket reads: addresses, ports, VNI, reserved bits zero,
// no fragmentation, lengths, checksums; and Decap finds the same bytes again.
func TestEncapIsWhatGopacketReads(t *testing.T) {
	table := newTable(t)
	for _, side := range sides {
		for name, inner := range inners() {
			t.Run(side.name+"/"+name, func(t *testing.T) {
				f := parsed(t, inner, packet.Headroom)
				if reason := table.Encap(f, 0, side.number, underlayMAC, hopMAC, 0xdeadbeef, 0); reason != drop.None {
					t.Fatal(reason)
				}
				if f.Len() != len(inner)+side.overhead || int(f.Outer) != side.overhead {
					t.Errorf("%d bytes of headers, f.Outer %d; want %d", f.Len()-len(inner), f.Outer, side.overhead)
				}
				checkOuter(t, f.Bytes(), side)
				checkRoundTrip(t, table, f.Bytes(), inner, side)
			})
		}
	}
}

func checkOuter(t *testing.T, b []byte, side side) {
	t.Helper()
	packettest.Check(t, b, packettest.MACs(hopMAC, underlayMAC), packettest.From(side.local, side.peer), packettest.TTL(64))
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	udp := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	ip := p.NetworkLayer()
	if udp.DstPort != port || udp.SrcPort < 49152 || int(udp.Length) != len(ip.LayerPayload()) {
		t.Errorf("outer UDP %d > %d of %d bytes under %d", udp.SrcPort, udp.DstPort, udp.Length, len(ip.LayerPayload()))
	}
	if v4, is := ip.(*layers.IPv4); is && (v4.Flags != layers.IPv4DontFragment || udp.Checksum != 0) {
		t.Errorf("outer IPv4 flags %v, UDP checksum %04x; want DF, none", v4.Flags, udp.Checksum)
	}
	// gopacket takes VXLAN for what it is on the default port only.
	if got, want := udp.Payload[:8], []byte{8, 0, 0, 0, vni0 >> 16, vni0 >> 8 & 0xff, vni0 & 0xff, 0}; !bytes.Equal(got, want) {
		t.Errorf("VXLAN header % x, want % x", got, want)
	}
}

func checkRoundTrip(t *testing.T, table *Table, b, inner []byte, side side) {
	t.Helper()
	back := turned(b, side)
	f := parsed(t, back, 0)
	in, reason := table.Decap(f)
	if reason != drop.None || in.Segment != 0 || in.Peer != side.number || in.VNI != vni0 {
		t.Fatalf("%s, %+v", reason, in)
	}
	if !bytes.Equal(f.Bytes()[in.Pull:], inner) {
		t.Errorf("inner frame % x, want % x", f.Bytes()[in.Pull:], inner)
	}
}

// turned makes an outer packet the peer's: its addresses change places, which
// no sum notices.
func turned(b []byte, side side) []byte {
	b = bytes.Clone(b)
	at, n := 14+12, 4
	if side.name == "ipv6" {
		at, n = 14+8, 16
	}
	src := bytes.Clone(b[at : at+n])
	copy(b[at:], b[at+n:at+2*n])
	copy(b[at+n:], src)
	return b
}

// The source port is a dynamic one (RFC 6335), the same for one flow, and
// spread: the underlay balances by it.
func TestSourcePort(t *testing.T) {
	seen := map[uint16]bool{}
	for i := range uint32(1 << 16) {
		p := sourcePort(i * 0x9e3779b9)
		if p < 49152 || p != sourcePort(i*0x9e3779b9) {
			t.Fatalf("hash %08x gives port %d", i*0x9e3779b9, p)
		}
		seen[p] = true
	}
	if len(seen) < 16000 {
		t.Errorf("65,536 hashes give %d of 16,384 ports", len(seen))
	}
	high := map[uint16]bool{}
	for i := range uint32(1 << 8) {
		high[sourcePort(i<<24)] = true // hashes that differ in their high bits only
	}
	if len(high) < 64 {
		t.Errorf("256 hashes give %d ports: the high bits do not count", len(high))
	}
}

// The tunnel needs its room in the headroom to the byte; without it nothing is
// changed.
func TestEncapNeedsHeadroom(t *testing.T) {
	table := newTable(t)
	for _, side := range sides {
		for headroom, want := range map[int]drop.Reason{side.overhead: drop.None, side.overhead - 1: drop.NoHeadroom, 0: drop.NoHeadroom} {
			f := parsed(t, inners()["tcp4_syn"], headroom)
			before := bytes.Clone(f.Buf)
			if reason := table.Encap(f, 0, side.number, underlayMAC, hopMAC, 1, 0); reason != want {
				t.Errorf("%s, %d bytes: %s, want %s", side.name, headroom, reason, want)
			}
			if want != drop.None && (!bytes.Equal(f.Buf, before) || f.Outer != 0 || int(f.Start) != headroom) {
				t.Errorf("%s, %d bytes: the frame was changed", side.name, headroom)
			}
		}
	}
}

// A peer that is not in the segment, a segment that is not in the overlay, a
// peer that is none, and one of a family that our VTEP does not speak.
func TestEncapRefuses(t *testing.T) {
	b := NewBuilder()
	b.Local(packet.AddrFrom(local4))
	b.Segment(0, vni0)
	b.Segment(1, vni1)
	b.Peer(1, packet.AddrFrom(peer4), []uint16{0})
	b.Peer(2, packet.AddrFrom(peer6), []uint16{0})
	table, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		segment, peer uint16
		want          drop.Reason
	}{{0, 1, drop.None}, {1, 1, drop.UnknownPeer}, {2, 1, drop.UnknownPeer}, {0, 3, drop.UnknownPeer}, {0, 0xffff, drop.UnknownPeer}, {0, 2, drop.NoUplink}} {
		f := parsed(t, inners()["tcp4_syn"], packet.Headroom)
		if reason := table.Encap(f, c.segment, c.peer, underlayMAC, hopMAC, 1, 0); reason != c.want {
			t.Errorf("segment %d to peer %d: %s, want %s", c.segment, c.peer, reason, c.want)
		}
	}
}

// tunnel is a packet of a peer as gopacket makes it, around a VXLAN header.
func tunnel(side side, dport uint16, header []byte, inner []byte) []byte {
	return packettest.Make(packettest.Ethernet(), packettest.IP(side.peer, side.local), packettest.UDP(50000, dport),
		packettest.Raw(slices.Concat(header, inner)...))
}

// header is a VXLAN header, byte by byte (RFC 7348 5).
func header(flags byte, reserved uint32, vni uint32, last byte) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint32(b, uint32(flags)<<24|reserved)
	binary.BigEndian.PutUint32(b[4:], vni<<8|uint32(last))
	return b
}

// Of the flags only I counts, and it must be set; reserved bits are not looked
// at (RFC 7348 5).
func TestDecapReadsTheHeader(t *testing.T) {
	table := newTable(t)
	inner := inners()["tcp4_syn"]
	for _, side := range sides {
		for flags := range 256 {
			want := drop.None
			if flags&8 == 0 {
				want = drop.BadVXLAN
			}
			f := parsed(t, tunnel(side, port, header(byte(flags), uint32(flags)*0x10101, vni0, byte(flags)), inner), 0)
			in, reason := table.Decap(f)
			if reason != want || want == drop.None && (in.VNI != vni0 || in.Segment != 0 || !bytes.Equal(f.Bytes()[in.Pull:], inner)) {
				t.Fatalf("%s, flags %02x: %s, %+v", side.name, flags, reason, in)
			}
		}
	}
}

// A UDP packet that is cut short before the header's end is refused, at each
// byte; behind it the inner frame is the parser's to judge.
func TestDecapOfTruncatedHeaders(t *testing.T) {
	table := newTable(t)
	whole := slices.Concat(header(8, 0, vni0, 0), inners()["tcp4_syn"])
	for _, side := range sides {
		for n := range whole {
			want := drop.None
			if n < 8 {
				want = drop.BadVXLAN
			}
			f := parsed(t, tunnel(side, port, whole[:n], nil), 0)
			in, reason := table.Decap(f)
			if reason != want {
				t.Errorf("%s, %d bytes: %s, want %s", side.name, n, reason, want)
			}
			if reason == drop.None && in.Pull > f.Len() {
				t.Errorf("%s, %d bytes: %d bytes are to be pulled off %d", side.name, n, in.Pull, f.Len())
			}
		}
	}
}

// A frame cut at each byte is refused by Parse or by Decap, or is whole.
func TestDecapOfTruncatedFrames(t *testing.T) {
	table := newTable(t)
	for _, side := range sides {
		whole := tunnel(side, port, header(8, 0, vni0, 0), inners()["tcp4_syn"])
		for n := range whole {
			f := packettest.Frame(whole[:n], 0)
			if packet.Parse(f) != drop.None {
				continue
			}
			if _, reason := table.Decap(f); reason == drop.None {
				t.Errorf("%s: %d of %d bytes are taken for a tunnel", side.name, n, len(whole))
			}
		}
	}
}

func TestDecapKnowsPeersAndVNIs(t *testing.T) {
	table := newTable(t)
	v4, v6 := sides[0], sides[1]
	stranger, other := v4, v4
	stranger.peer = netip.MustParseAddr("192.0.2.3")
	other.local = netip.MustParseAddr("192.0.2.9")
	inner := inners()["tcp4_syn"]
	tagged := packettest.Make(packettest.Ethernet(), packettest.Tag(5), packettest.IP(peer4, local4), packettest.UDP(1, port), packettest.Raw(header(8, 0, vni0, 0)...))
	for name, c := range map[string]struct {
		frame []byte
		want  drop.Reason
	}{
		"first_segment":            {tunnel(v4, port, header(8, 0, vni0, 0), inner), drop.None},
		"second_segment":           {tunnel(v4, port, header(8, 0, vni1, 0), inner), drop.None},
		"over_ipv6":                {tunnel(v6, port, header(8, 0, vni0, 0), inner), drop.None},
		"peer_of_another_vni":      {tunnel(v6, port, header(8, 0, vni1, 0), inner), drop.UnknownPeer},
		"stranger":                 {tunnel(stranger, port, header(8, 0, vni0, 0), inner), drop.UnknownPeer},
		"no_such_vni":              {tunnel(v4, port, header(8, 0, 5, 0), inner), drop.UnknownVNI},
		"vni_zero":                 {tunnel(v4, port, header(8, 0, 0, 0), inner), drop.UnknownVNI},
		"stranger_of_no_vni":       {tunnel(stranger, port, header(8, 0, 5, 0), inner), drop.UnknownVNI},
		"not_for_our_vtep":         {tunnel(other, port, header(8, 0, vni0, 0), inner), drop.UplinkOther},
		"default_port_is_not_ours": {tunnel(v4, DefaultPort, header(8, 0, vni0, 0), inner), drop.UplinkOther},
		"tcp":                      {packettest.Make(packettest.Ethernet(), packettest.IP(peer4, local4), packettest.TCP(1, port, packet.TCPSyn)), drop.UplinkOther},
		"tagged":                   {tagged, drop.UplinkOther},
	} {
		f := parsed(t, c.frame, 0)
		before := bytes.Clone(f.Buf)
		if _, reason := table.Decap(f); reason != c.want || !bytes.Equal(f.Buf, before) {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
	}
}

// RFC 6040 figure 4: what becomes of the inner mark, by the outer one. -1 is a
// drop.
func TestDecapECN(t *testing.T) {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	become := [4][4]int{ // [inner][outer]
		notECT: {notECT: notECT, ect0: notECT, ect1: notECT, ce: -1},
		ect0:   {notECT: ect0, ect0: ect0, ect1: ect1, ce: ce},
		ect1:   {notECT: ect1, ect0: ect1, ect1: ect1, ce: ce},
		ce:     {notECT: ce, ect0: ce, ect1: ce, ce: ce},
	}
	const dscp, outerDSCP = 0xb8, 0x28 // the inner one stays
	for _, name := range []string{"tcp4_syn", "tcp6_data", "nd_solicitation"} {
		for inner := range become {
			for outer, want := range become[inner] {
				f := parsed(t, inners()[name], 0)
				packet.SetTOS(f, uint8(dscp|inner))
				reason := DecapECN(f, uint8(outerDSCP|outer))
				got := int(f.TOS() &^ dscp)
				if reason != drop.None {
					got = -1
				}
				if got != want || want < 0 && reason != drop.Congested {
					t.Errorf("%s, inner %02b under outer %02b: %d (%s), want %d", name, inner, outer, got, reason, want)
				}
				packettest.Check(t, f.Bytes(), packettest.Checksums)
			}
		}
	}
	f := parsed(t, inners()["arp_request"], 0)
	before := bytes.Clone(f.Bytes())
	if reason := DecapECN(f, ce); reason != drop.None || !bytes.Equal(f.Bytes(), before) {
		t.Errorf("ARP under a mark: %s, % x", reason, f.Bytes())
	}
}

// The outer packet has the inner one's type of service, mark included (RFC 6040
// 4.1, normal mode); what is not IP has none.
func TestEncapTOS(t *testing.T) {
	table := newTable(t)
	for _, side := range sides {
		for _, name := range []string{"tcp4_syn", "tcp6_data", "arp_request"} {
			for tos := range 256 {
				f := parsed(t, inners()[name], packet.Headroom)
				want := uint8(0)
				if f.Headers.Kind != packet.KindARP {
					packet.SetTOS(f, uint8(tos))
					want = uint8(tos)
				}
				table.Encap(f, 0, side.number, underlayMAC, hopMAC, 1, 0)
				if got := parsed(t, f.Bytes(), 0).TOS(); got != want {
					t.Fatalf("%s over %s: %02x, want %02x", name, side.name, got, want)
				}
			}
		}
	}
}

func TestPeers(t *testing.T) {
	table := newTable(t)
	if got := fmt.Sprint(table.Peers(0), table.Peers(1), table.Peers(2)); got != "[1 2] [1] []" {
		t.Errorf("peers %s", got)
	}
	for peer, want := range map[uint16]netip.Addr{1: peer4, 2: peer6, 0: {}, 3: {}, 0xffff: {}} {
		if a, found := table.PeerAddr(peer); found != want.IsValid() || found && a.Netip() != want {
			t.Errorf("peer %d is at %s, %v", peer, a, found)
		}
	}
}

// All contradictions are told at once, whatever the order of the lines.
func TestBuilderRefuses(t *testing.T) {
	b := NewBuilder()
	addr := packet.AddrFrom
	b.Segment(0, 7)
	b.Segment(1, 7)
	b.Segment(2, 0)
	b.Segment(3, MaxVNI+1)
	b.Segment(4, 8)
	b.Segment(4, 9)
	b.Peer(1, addr(peer4), []uint16{0, 9})
	b.Peer(2, addr(peer4), []uint16{0})
	b.Peer(3, addr(local4), []uint16{0})
	b.Peer(1, addr(netip.MustParseAddr("192.0.2.77")), []uint16{0})
	b.Peer(4, addr(netip.MustParseAddr("192.0.2.78")), []uint16{0, 0})
	b.Peer(NoPeer, addr(netip.MustParseAddr("192.0.2.79")), nil)
	b.Local(addr(local4))
	b.Local(addr(netip.MustParseAddr("192.0.2.80")))
	_, err := b.Build()
	for _, want := range []string{
		"VNI 7: two segments have it", "VNI 0: must be from 1 to 16777215", "VNI 16777216: must be from 1 to 16777215",
		"segment 4: it has two VNIs, 8 and 9",
		"peer 192.0.2.2: the address is taken", "peer 192.0.2.1: the address is taken", "peer 192.0.2.2: segment 9 has no VNI",
		"peer 192.0.2.77: its number, 1, is taken", "peer 192.0.2.78: segment 0 stands twice", "peer 192.0.2.79: its number, 65535, stands for none",
		"VTEP 192.0.2.1: there is another address of its family, 192.0.2.80",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in:\n%v", want, err)
		}
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	table := newTable(t)
	for _, side := range sides {
		f := parsed(t, inners()["tcp4_syn"], packet.Headroom)
		in := parsed(t, tunnel(side, port, header(8, 0, vni0, 0), inners()["tcp4_syn"]), 0)
		if n := testing.AllocsPerRun(100, func() {
			if table.Encap(f, 0, side.number, underlayMAC, hopMAC, 1, 0) != drop.None || !f.Pull(uint32(side.overhead)) {
				t.Error("not put into a tunnel")
			}
			if _, reason := table.Decap(in); reason != drop.None {
				t.Error(reason)
			}
			DecapECN(f, 2)
		}); n != 0 {
			t.Errorf("%s: %v allocations", side.name, n)
		}
	}
}

// The number of a group goes to a peer that speaks the extension, with the G
// flag, and to no other; A and D are never set (draft-smith-vxlan-group-policy-05).
func TestEncapSaysTheGroup(t *testing.T) {
	b := newBuilder()
	b.Speaks(1, []uint16{0x1234})
	table, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		side  side
		group uint16
		want  []byte
	}{{sides[0], 0x1234, []byte{0x88, 0, 0x12, 0x34}}, {sides[0], 0, []byte{8, 0, 0, 0}}, {sides[1], 0x1234, []byte{8, 0, 0, 0}}} {
		f := parsed(t, inners()["tcp4_syn"], packet.Headroom)
		if reason := table.Encap(f, 0, c.side.number, underlayMAC, hopMAC, 1, c.group); reason != drop.None {
			t.Fatal(reason)
		}
		if got := f.Bytes()[c.side.overhead-8:][:4]; !bytes.Equal(got, c.want) {
			t.Errorf("%s, group %04x: header % x, want % x", c.side.name, c.group, got, c.want)
		}
		packettest.Check(t, f.Bytes(), packettest.Checksums)
	}
}

// A group is believed of a peer that may speak for it. Where no group means
// anything its bits are reserved, and not looked at (RFC 7348 5).
func TestDecapReadsTheGroup(t *testing.T) {
	b := newBuilder()
	b.Speaks(1, []uint16{17})
	grouped, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	inner := inners()["tcp4_syn"]
	for _, c := range []struct {
		name  string
		table *Table
		side  side
		head  []byte
		want  Inner // Group, Forged, Mute
	}{
		{"its own", grouped, sides[0], []byte{0x88, 0, 0, 17}, Inner{Group: 17}},
		{"its own, applied, not to be learned from", grouped, sides[0], []byte{0x88, 0x48, 0, 17}, Inner{Group: 17, Mute: true}},
		{"another's", grouped, sides[0], []byte{0x88, 0, 1, 17}, Inner{Group: 273, Forged: true}},
		{"of a peer that may not speak", grouped, sides[1], []byte{0x88, 0, 0, 17}, Inner{Group: 17, Forged: true}},
		{"none, not to be learned from", grouped, sides[1], []byte{0x88, 0x40, 0, 0}, Inner{Mute: true}},
		{"without the flag", grouped, sides[1], []byte{8, 0x48, 0, 17}, Inner{}},
		{"where there are none", newTable(t), sides[0], []byte{0x88, 0x48, 0, 17}, Inner{}},
	} {
		head := append(bytes.Clone(c.head), 0x12, 0x34, 0x56, 0)
		f := parsed(t, tunnel(c.side, port, head, inner), 0)
		in, reason := c.table.Decap(f)
		if reason != drop.None || in.Group != c.want.Group || in.Forged != c.want.Forged || in.Mute != c.want.Mute {
			t.Errorf("%s: %s, %+v", c.name, reason, in)
		}
	}
}
