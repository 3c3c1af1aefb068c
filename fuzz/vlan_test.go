package fuzz

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/packet/packettest"
	"bulkhead/dataplane/vlan"
)

// FuzzVLAN brings frames in by ports that treat tags in every way. Whatever the
// bytes are, what the port says is what the list says of the tags as they stand in
// the bytes; what gets in has lost its own tags and nothing else; and sent back
// into the same segment it is the frame that came.
func FuzzVLAN(f *testing.F) {
	for i, s := range packettest.Seeds() { // each on two kinds of port: what is run first is not fuzzed
		f.Add(byte(i)%16, s.Bytes)
		f.Add(byte(i+7)%16, s.Bytes)
	}
	for _, tags := range [][]uint16{{0x8100, 0}, {0x8100, 10}, {0x8100, 0xe00a}, {0x8100, 4095}, {0x88a8, 10}, {0x88a8, 10, 0x8100, 20}, {0x8100, 10, 0x8100, 20},
		{0x8100, 10, 0x8100, 10}, {0x8100, 0, 0x8100, 10}, {0x8100, 10, 0x8100, 0}, {0x8100, 10, 0x88a8, 20}, {0x9100, 10}} {
		for kind := range byte(16) {
			f.Add(kind, tagged(packettest.Seeds()[0].Bytes, tags))
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if len(b) > 2048 {
			return
		}
		spec := vlanPort(kind)
		m, err := vlan.Build(spec)
		if err != nil {
			t.Fatal(err)
		}
		frame := packet.NewFrame(b, 1)
		if packet.Parse(frame) != drop.None {
			return
		}
		segment, reason := m.Enter(frame)
		tags, listed := listedAs(spec, b)
		if want, in := listed, reason == drop.None; in != (want != vlan.None) || in && segment != want {
			t.Fatalf("port %+v, %x: segment %d, %s; by the list %d", spec, b[:min(len(b), 24)], segment, reason, want)
		}
		if reason != drop.None {
			return
		}
		if left := slices.Delete(slices.Clone(b), 12, 12+tags); !bytes.Equal(frame.Bytes(), left) {
			t.Fatalf("%x is left of %x", frame.Bytes(), b)
		}
		back := slices.Clone(b)
		for at := 14; at < 12+tags; at += 4 {
			back[at] &= 0x0f // the priority is not kept
		}
		if tags == 4 && back[14] == 0 && back[15] == 0 {
			back = slices.Delete(back, 12, 16) // nor is a tag that is nothing else
		}
		if !m.Leave(frame, segment) || !bytes.Equal(frame.Bytes(), back) {
			t.Fatalf("%x came, and goes back as %x", b, frame.Bytes())
		}
	})
}

func tagged(b []byte, tags []uint16) []byte {
	out := slices.Clone(b[:12])
	for _, n := range tags {
		out = binary.BigEndian.AppendUint16(out, n)
	}
	return append(out, b[12:]...)
}

// vlanPort is a port by the bits of a byte: a trunk, native, priority tags, 802.1ad.
func vlanPort(kind byte) vlan.Spec {
	s := vlan.Spec{Native: vlan.None, Priority: kind&4 != 0, Provider: kind&8 != 0}
	if kind&1 == 0 || kind&2 != 0 {
		s.Native = 7
	}
	if kind&1 != 0 {
		s.Tags = map[vlan.Tags]uint16{{Outer: 10}: 1, {Outer: 20}: 2, {Outer: 10, Inner: 20}: 3, {Outer: 4094, Inner: 1}: 4}
	}
	return s
}

// listedAs reads the tags of a frame that parses, and looks them up: how many
// bytes they are, and which segment they name.
func listedAs(s vlan.Spec, b []byte) (tags int, segment uint16) {
	outer := uint16(0x8100)
	if s.Provider {
		outer = 0x88a8
	}
	kind := func(at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
	isTag := func(at int) bool { return kind(at) == 0x8100 || kind(at) == 0x88a8 }
	vid := func(at int) uint16 { return kind(at+2) % 4096 }
	switch {
	case !isTag(12):
		return 0, s.Native
	case !isTag(16):
		if kind(12) == 0x8100 && vid(12) == 0 && s.Priority {
			return 4, s.Native
		}
		if n, is := s.Tags[vlan.Tags{Outer: vid(12)}]; is && kind(12) == outer {
			return 4, n
		}
	default:
		if n, is := s.Tags[vlan.Tags{Outer: vid(12), Inner: vid(16)}]; is && vid(16) != 0 && kind(12) == outer && kind(16) == 0x8100 {
			return 8, n
		}
	}
	return 0, vlan.None
}
