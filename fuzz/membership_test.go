package fuzz

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// FuzzMembership reads group messages: IGMP and MLD messages of any bytes, under
// headers and checksums that are right. Whatever they are, a report is taken where a
// second reading of RFC 3376 and RFC 3810 takes it, with the groups that it finds.
func FuzzMembership(f *testing.F) {
	four, six := make([]byte, 8), make([]byte, 24)
	four[4], six[8] = 239, 0xff
	for _, kind := range []byte{0x11, 0x12, 0x16, 0x17, 0x22} {
		four[0] = kind
		f.Add(false, byte(1), append([]byte(nil), four...))
	}
	for _, kind := range []byte{130, 131, 132, 143} {
		six[0] = kind
		f.Add(true, byte(1), append([]byte(nil), six...))
	}
	f.Add(false, byte(22), []byte{0x22, 0, 0, 0, 0, 0, 0, 2, 4, 0, 0, 0, 239, 1, 1, 1, 3, 1, 0, 1, 239, 1, 1, 2, 10, 0, 0, 1, 9, 9, 9, 9})
	f.Add(true, byte(22), append([]byte{143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0}, append([]byte{0xff, 5}, make([]byte, 14)...)...))
	f.Fuzz(func(t *testing.T, v6 bool, dst byte, body []byte) {
		if len(body) < 8 || len(body) > 1400 {
			return
		}
		frame := membershipFrame(v6, dst, body)
		if packet.Parse(frame) != drop.None {
			return
		}
		want, right := listensTo(read(frame.Bytes()))
		if is := packet.MembershipOf(frame) == packet.MembershipReport; is != right {
			t.Fatalf("%x: is a report: %v; the reader: %v", body, is, right)
		}
		if !right {
			return
		}
		var got []listens
		for rec, at, found := packet.NextGroup(frame, 0); found; rec, at, found = packet.NextGroup(frame, at) {
			got = append(got, listens{rec.Group, rec.Joins, rec.Silent})
			if len(got) > len(body) {
				t.Fatalf("%x has no end", body)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%x: %+v; the reader finds %+v", body, got, want)
		}
	})
}

// listens is what a report says of a group.
type listens struct {
	group         packet.Addr
	joins, silent bool
}

// listensTo reads a report, and tells whether it is one as RFC 2236, 3376, 2710 and
// 3810 have it sent: from this link (a TTL of 1, in MLD a link-local source or none),
// to the address that goes with it, of groups, 64 records at the most.
func listensTo(f *facts) (all []listens, right bool) {
	c := &cursor{b: f.transport}
	kind := c.u8()
	c.take(5)
	n := int(c.u16())
	word, newest := 4, byte(0x22)
	if f.v6 {
		word, newest = 16, 143
	}
	switch {
	case f.refused != "" || c.short || f.part || f.hops != 1 || f.v6 != (f.proto == 58) || !f.v6 && f.proto != 2:
		return nil, false
	case f.v6 && f.transportSum() != 0xffff, !f.v6 && ones(0, f.transport) != 0xffff:
		return nil, false
	case f.v6 && !f.from.IsLinkLocalUnicast() && !(kind == 143 && f.from.IsUnspecified()):
		return nil, false
	case kind != newest:
		return listensToOne(f, kind)
	case n > 64 || f.to.String() != map[bool]string{false: "224.0.0.22", true: "ff02::16"}[f.v6]:
		return nil, false
	}
	for range n {
		kind, words, sources := c.u8(), int(c.u8()), int(c.u16())
		group := c.take(word)
		c.take(sources*word + words*4)
		one := listens{group: groupOf(group)}
		switch kind {
		case 1, 3: // only from these, which may be none
			one.joins = sources > 0
		case 2, 4, 5: // from all but these; from these, too
			one.joins = true
		default:
			one.silent = true
		}
		if all = append(all, one); c.short || !isGroup(group) {
			return nil, false
		}
	}
	return all, true
}

// listensToOne reads the older reports, of one group.
func listensToOne(f *facts, kind byte) ([]listens, bool) {
	joins, leaves, routers := slices.Contains([]byte{0x12, 0x16}, kind), kind == 0x17, "224.0.0.2"
	c := &cursor{b: f.transport}
	c.take(4)
	if f.v6 {
		c.take(4)
		joins, leaves, routers = kind == 131, kind == 132, "ff02::2"
	}
	group := c.take(map[bool]int{false: 4, true: 16}[f.v6])
	to := groupOf(group)
	if c.short || !joins && !leaves || !isGroup(group) || joins && addrOf(f.to) != to || leaves && f.to.String() != routers {
		return nil, false
	}
	return []listens{{group: to, joins: joins}}, true
}

func groupOf(b []byte) packet.Addr {
	a, _ := netip.AddrFromSlice(b)
	return addrOf(a)
}

func isGroup(b []byte) bool {
	a, _ := netip.AddrFromSlice(b)
	return a.IsMulticast()
}

// membershipFrame puts a message under headers.
func membershipFrame(v6 bool, dst byte, body []byte) *packet.Frame {
	s := packet.Spec{SrcMAC: packet.MAC{2, 0, 0, 0, 0, 1}, DstMAC: packet.MAC{1, 0, 0x5e, 0, 0, dst}, TTL: 1, Proto: packet.ProtoIGMP,
		Src: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: packet.AddrFrom4([4]byte{224, 0, 0, dst}), Payload: append([]byte(nil), body...)}
	if !v6 {
		if body[0] == 0x12 || body[0] == 0x16 {
			s.Dst = packet.AddrFrom4([4]byte(body[4:8]))
		}
		s.Payload[2], s.Payload[3] = 0, 0
		binary.BigEndian.PutUint16(s.Payload[2:], checksum.Of(s.Payload, 0))
		b, err := packet.Build(s)
		if err != nil {
			return packet.NewFrame(nil, 1)
		}
		return packet.NewFrame(b, 1)
	}
	s.Proto, s.ICMPType, s.ICMPCode = packet.ProtoICMPv6, body[0], body[1]
	s.ICMPID, s.ICMPSeq, s.Payload = binary.BigEndian.Uint16(body[4:]), binary.BigEndian.Uint16(body[6:]), body[8:]
	s.Src, s.Dst = packet.Addr{0: 0xfe, 1: 0x80, 15: 1}, packet.Addr{0: 0xff, 1: 2, 15: dst}
	if body[0] == 131 && len(body) >= 24 {
		s.Dst = packet.Addr(body[8:24])
	}
	b, err := packet.Build(s)
	if err != nil {
		return packet.NewFrame(nil, 1)
	}
	return packet.NewFrame(b, 1)
}

// TestSeedsAreNoMembership holds the parser's own seeds to what they are: none of
// them is taken for a group message that is right.
func TestSeedsAreNoMembership(t *testing.T) {
	for _, s := range packettest.Seeds() {
		f := packet.NewFrame(s.Bytes, 1)
		if packet.Parse(f) == drop.None && packet.MembershipOf(f) > packet.BadMembership {
			t.Errorf("%s is a group message", s.Name)
		}
	}
}
