package fuzz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/dataplane/vxlan"
)

// The overlay of the two targets: two hosts, here and there, with an address of
// each family; there is one peer that is in one segment only.
var (
	hereVTEP  = [2]packet.Addr{address("192.0.2.1"), address("2001:db8:ff::1")}
	thereVTEP = [2]packet.Addr{address("192.0.2.2"), address("2001:db8:ff::2")}
	thirdVTEP = address("192.0.2.3")
)

const vniBoth, vniOne = 100, 102 // segments 0 and 1

// overlayAt is the overlay as one host sees it.
func overlayAt(tb testing.TB, local, remote [2]packet.Addr) *vxlan.Table {
	tb.Helper()
	b := vxlan.NewBuilder()
	b.Local(local[0])
	b.Local(local[1])
	b.Segment(0, vniBoth)
	b.Segment(1, vniOne)
	b.Peer(0, remote[0], []uint16{0, 1})
	b.Peer(1, remote[1], []uint16{0, 1})
	b.Peer(2, thirdVTEP, []uint16{0})
	b.Groups()
	b.Speaks(0, []uint16{7})
	b.Speaks(1, []uint16{7})
	t, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// inTunnel is what RFC 7348 makes of a packet of the underlay, told by the reader.
// refused: it is no tunnel to us.
func inTunnel(said *facts) (inner []byte, vni uint32, group uint16, refused string) {
	u := said.transport
	switch {
	case said.refused != "" || said.arp != nil || said.part || said.proto != 17:
		return nil, 0, 0, "no UDP"
	case len(said.tags) > 0 || said.dport != 4789 || addrOf(said.to) != hereVTEP[0] && addrOf(said.to) != hereVTEP[1]:
		return nil, 0, 0, "not for the VTEP"
	case len(u) < 16 || u[8]&8 == 0:
		return nil, 0, 0, "no VXLAN"
	}
	vni = uint32(u[12])<<16 | uint32(u[13])<<8 | uint32(u[14])
	from := addrOf(said.from)
	both := from == thereVTEP[0] || from == thereVTEP[1]
	switch {
	case vni != vniBoth && vni != vniOne:
		return nil, 0, 0, "a VNI that is not here"
	case !both && !(from == thirdVTEP && vni == vniBoth):
		return nil, 0, 0, "no peer of the VNI"
	}
	if u[8]&0x80 != 0 {
		group = binary.BigEndian.Uint16(u[10:])
	}
	return u[16:], vni, group, ""
}

// FuzzDecap: of any bytes from the underlay only a tunnel is opened that RFC 7348
// and the list of peers make one, and what is in it is what the reader finds
// there; its outer checksum is right where a plain sum says so. Nothing is changed
// by looking.
func FuzzDecap(f *testing.F) {
	for _, v := range []int{0, 1} {
		for _, s := range packettest.Seeds() {
			f.Add(underlay(f, v, thereVTEP[v], 8, vniBoth, s.Bytes))
		}
		inner := packettest.Seeds()[0].Bytes
		f.Add(underlay(f, v, thereVTEP[v], 8, vniOne, inner))
		f.Add(underlay(f, v, thereVTEP[v], 8, 7, inner))             // a VNI that is not here
		f.Add(underlay(f, v, thereVTEP[v], 0, vniBoth, inner))       // without the I flag
		f.Add(underlay(f, v, thereVTEP[v], 0x88, 7<<24|100, inner))  // of a group
		f.Add(underlay(f, v, hereVTEP[v], 8, vniBoth, inner))        // from ourselves
		f.Add(underlay(f, v, thereVTEP[v], 8, vniBoth, inner[:9]))   // nothing that is a frame
		f.Add(underlay(f, v, thereVTEP[v], 8, vniBoth, inner)[:100]) // cut
	}
	f.Add(underlay(f, 0, thirdVTEP, 8, vniBoth, packettest.Seeds()[0].Bytes))
	f.Add(underlay(f, 0, thirdVTEP, 8, vniOne, packettest.Seeds()[0].Bytes)) // a peer, but not of this VNI
	table := overlayAt(f, hereVTEP, thereVTEP)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 9000 {
			return
		}
		frame := packet.NewFrame(b, 1)
		if packet.Parse(frame) != drop.None || frame.Headers.Kind != packet.KindIP {
			return // decap asks for no other; FuzzPipeline sends them
		}
		said := read(b)
		want, vni, group, refused := inTunnel(said)
		in, reason := table.Decap(frame)
		if (reason == drop.None) != (refused == "") || !bytes.Equal(frame.Bytes(), b) {
			t.Fatalf("%x: Decap says %s; the reader says %q", b, reason, refused)
		}
		if reason != drop.None {
			return
		}
		if in.VNI != vni || in.Segment != uint16((vni-vniBoth)/2) || in.Group != group || in.Forged != (group != 0 && group != 7 || group != 0 && in.Peer == 2) {
			t.Fatalf("%x: %+v; the reader says VNI %d, group %d", b, in, vni, group)
		}
		if got := b[in.Pull:][:in.Length]; !bytes.Equal(got, want) {
			t.Fatalf("%x: in it is %x, not %x", b, got, want)
		}
		summed := said.transport[6]|said.transport[7] != 0
		frame.Offload = packet.Offload{}
		if !frame.Pull(uint32(in.Pull)) {
			t.Fatal("the headers cannot be taken off")
		}
		frame.End = frame.Start + in.Length
		if packet.Parse(frame) != drop.None {
			return
		}
		if right := !summed || said.transportSum() == 0xffff; in.ChecksumRight(frame) != right {
			t.Fatalf("%x: the outer checksum is right: %v", b, right)
		}
	})
}

// underlay makes a tunnel's packet; last is the second word, the VNI, with the
// group of the first above it.
func underlay(tb testing.TB, v int, from packet.Addr, flags byte, last uint32, inner []byte) []byte {
	group, vni := last>>24, last&0xffffff
	head := []byte{flags, 0, byte(group >> 8), byte(group), byte(vni >> 16), byte(vni >> 8), byte(vni), 0}
	b, err := packet.Build(packet.Spec{SrcMAC: peerMAC, DstMAC: uplinkMAC, Src: from, Dst: hereVTEP[v], Proto: packet.ProtoUDP, SrcPort: 50000, DstPort: 4789,
		Payload: append(head, inner...)})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// FuzzEncapDecap: any frame that parses goes into a tunnel and comes out of it at
// the other host as it was, in its segment and of its group. On the way the reader
// finds what RFC 7348 wants: who to whom, the ports, no fragments, reserved bits
// zero, and a checksum that is right or, over IPv4, left out.
func FuzzEncapDecap(f *testing.F) {
	for i, s := range packettest.Seeds() {
		f.Add(s.Bytes, byte(i), uint32(i)*77777)
	}
	here, there := overlayAt(f, hereVTEP, thereVTEP), overlayAt(f, thereVTEP, hereVTEP)
	f.Fuzz(func(t *testing.T, b []byte, how byte, hash uint32) {
		if len(b) > 9000 {
			return
		}
		frame := packet.NewFrame(b, 1)
		if packet.Parse(frame) != drop.None {
			return
		}
		peer, segment, group := uint16(how&1), uint16(how>>1&1), uint16(how>>2&1)*7
		if reason := there.Encap(frame, segment, peer, peerMAC, uplinkMAC, hash, group); reason != drop.None {
			t.Fatal(reason)
		}
		out := frame.Bytes()
		said := read(out)
		if err := tunnelIsRight(said, int(peer), segment, group); err != nil {
			t.Fatalf("%v: %x", err, out)
		}
		again := packet.NewFrame(out, 1)
		if reason := packet.Parse(again); reason != drop.None {
			t.Fatalf("%s: %x", reason, out)
		}
		in, reason := here.Decap(again)
		if reason != drop.None || in.Segment != segment || in.Peer != peer || in.Group != group || in.Forged {
			t.Fatalf("%s: %+v of %x", reason, in, out)
		}
		if got := out[in.Pull:][:in.Length]; !bytes.Equal(got, b) {
			t.Fatalf("%x went in, %x came out", b, got)
		}
	})
}

// tunnelIsRight holds a tunnel's packet to RFC 7348 5, RFC 6040 and RFC 6936.
func tunnelIsRight(said *facts, v int, segment, group uint16) error {
	if said.refused != "" || said.part || said.proto != 17 || len(said.tags) != 0 {
		return fmt.Errorf("no UDP packet: %q", said.refused)
	}
	u := said.transport
	flags := byte(8)
	if group != 0 {
		flags |= 0x80
	}
	head := []byte{flags, 0, 0, byte(group), 0, 0, byte(vniBoth + 2*segment), 0}
	summed := u[6]|u[7] != 0
	switch {
	case addrOf(said.from) != thereVTEP[v] || addrOf(said.to) != hereVTEP[v]:
		return fmt.Errorf("from %s to %s", said.from, said.to)
	case said.dport != 4789 || said.sport < 49152:
		return fmt.Errorf("from port %d to port %d", said.sport, said.dport)
	case !bytes.Equal(u[8:16], head):
		return fmt.Errorf("the header is %x, not %x", u[8:16], head)
	case said.v6 && !summed, summed && said.transportSum() != 0xffff:
		return fmt.Errorf("checksum %x", u[6:8])
	}
	return nil
}
