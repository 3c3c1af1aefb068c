package fuzz

import (
	"encoding/binary"
	"testing"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
)

// FuzzMembership reads group messages: IGMP and MLD messages of any bytes, under
// headers and checksums that are right. Whatever they are, a report that is taken
// has records that lie in it, of groups, no more than the bound, and as many as
// it says.
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
		if packet.Parse(frame) != drop.None || packet.MembershipOf(frame) != packet.MembershipReport {
			return
		}
		n, was := 0, -1
		for rec, at, found := packet.NextGroup(frame, 0); found; rec, at, found = packet.NextGroup(frame, at) {
			if n++; at <= was || at&0xffff > len(body) || n > packet.MaxGroupRecords {
				t.Fatalf("record %d of %x is followed by %d, behind %d", n, body, at, was)
			}
			if was = at; rec.Group.Is4() == v6 || !rec.Silent && !rec.Group.Netip().IsMulticast() {
				t.Fatalf("%x: group %s", body, rec.Group)
			}
		}
		if said := int(binary.BigEndian.Uint16(body[6:])); (body[0] == 0x22 && !v6 || body[0] == 143 && v6) && n != said {
			t.Fatalf("%x: %d of %d records", body, n, said)
		}
	})
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
