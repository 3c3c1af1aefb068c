package vlan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// tag is one tag of a frame.
type tag struct{ kind, tci uint16 }

// frame makes a UDP packet, or an ARP request, with tags.
func frame(t testing.TB, arp, v6 bool, tags []tag) *packet.Frame {
	t.Helper()
	s := packet.Spec{SrcMAC: packet.MAC{2, 0, 0, 0, 0, 1}, DstMAC: packet.MAC{2, 0, 0, 0, 0, 2}, Proto: packet.ProtoUDP,
		Src: packet.AddrFrom4([4]byte{10, 0, 0, 1}), Dst: packet.AddrFrom4([4]byte{10, 0, 0, 2}), SrcPort: 1, DstPort: 2}
	if v6 {
		s.Src, s.Dst = packet.Addr{0: 0xfd, 15: 1}, packet.Addr{0: 0xfd, 15: 2}
	}
	if arp {
		s.ARP = packet.ARPRequest
	}
	b, err := packet.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, tg := range slices.Backward(tags) {
		b = slices.Insert(b, 12, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, tg.kind), tg.tci)...)
	}
	buf := append(make([]byte, packet.Headroom), b...)
	f := new(packet.Frame)
	f.Begin(buf, packet.Headroom, uint32(len(buf)), 1)
	return f
}

// mode is a port of the truth table.
type mode struct {
	name     string
	spec     Spec
	takes    map[string]uint16 // tags in words -> segment
	provider bool
}

func modes(t testing.TB) []mode {
	list := map[Tags]uint16{{10, 0}: 1, {20, 0}: 2, {10, 20}: 3, {4094, 4094}: 4}
	tagged := map[string]uint16{"10": 1, "20": 2, "10.20": 3, "4094.4094": 4}
	with := func(more map[string]uint16) map[string]uint16 {
		all := map[string]uint16{}
		for _, m := range []map[string]uint16{tagged, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	return []mode{
		{"access", Spec{Native: 0}, map[string]uint16{"": 0}, false},
		{"access with priority tags", Spec{Native: 0, Priority: true}, map[string]uint16{"": 0, "0": 0}, false},
		{"trunk", Spec{Native: None, Tags: list}, tagged, false},
		{"trunk with priority tags", Spec{Native: None, Priority: true, Tags: list}, tagged, false},
		{"native", Spec{Native: 0, Tags: list}, with(map[string]uint16{"": 0}), false},
		{"native with priority tags", Spec{Native: 0, Priority: true, Tags: list}, with(map[string]uint16{"": 0, "0": 0}), false},
		{"provider trunk", Spec{Native: None, Provider: true, Tags: list}, tagged, true},
	}
}

// wants is the truth table of the package comment, written once more: what a
// port of a mode makes of a frame's tags.
func wants(m *mode, tags []tag) (segment uint16, reason drop.Reason) {
	words, outer := "", uint16(packet.EtherTypeVLAN)
	for i, tg := range tags {
		if i > 0 {
			words += "."
		}
		words += fmt.Sprint(tg.tci & 0xfff)
	}
	if m.provider {
		outer = packet.EtherTypeQinQ
	}
	segment, listed := m.takes[words]
	right := true
	for i, tg := range tags {
		right = right && (tg.kind == outer || tg.kind == packet.EtherTypeVLAN && (i == 1 || words == "0"))
		right = right && (i == 0 || tg.kind == packet.EtherTypeVLAN)
	}
	switch {
	case listed && right:
		return segment, drop.None
	case words == "" || words == "0" && m.spec.Native == None:
		return None, drop.VLANUntagged
	case words == "0" || m.spec.Tags == nil || !right:
		return None, drop.VLANTag
	}
	return None, drop.VLANUnknown
}

// Every mode with every tag type, identifier and depth, as IPv4, IPv6 and ARP,
// against the truth table; what gets in is left without a tag, byte for byte
// the frame that was sent without one.
func TestTruthTable(t *testing.T) {
	vids := []uint16{0, 1, 10, 20, 4094, 4095}
	kinds := []uint16{packet.EtherTypeVLAN, packet.EtherTypeQinQ}
	all := [][]tag{nil}
	for _, kind := range kinds {
		for _, vid := range vids {
			one := []tag{{kind, vid | 0xe000}} // with a priority: it says nothing of the VLAN
			all = append(all, one)
			for _, inner := range kinds {
				for _, second := range vids {
					all = append(all, append(slices.Clone(one), tag{inner, second}))
				}
			}
		}
	}
	cases := 0
	for _, m := range modes(t) {
		built, err := Build(m.spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, tags := range all {
			for _, kind := range []struct{ arp, v6 bool }{{}, {v6: true}, {arp: true}} {
				cases++
				f := frame(t, kind.arp, kind.v6, tags)
				if r := packet.Parse(f); r != drop.None {
					t.Fatalf("%v does not parse: %s", tags, r)
				}
				segment, reason := built.Enter(f)
				if want, why := wants(&m, tags); segment != want || reason != why {
					t.Errorf("%s, tags %x: segment %d, %s; want %d, %s", m.name, tags, segment, reason, want, why)
				}
				if plain := frame(t, kind.arp, kind.v6, nil); reason == drop.None && !bytes.Equal(plain.Bytes(), f.Bytes()) {
					t.Errorf("%s, tags %x: %x is left of it", m.name, tags, f.Bytes())
				}
			}
		}
	}
	if cases < 1000 {
		t.Errorf("%d cases", cases)
	}
}

// What leaves for a segment comes back into it, and into no other.
func TestLeaveIsEnterBackwards(t *testing.T) {
	for _, m := range modes(t) {
		built, err := Build(m.spec)
		if err != nil {
			t.Fatal(err)
		}
		for segment := range uint16(6) {
			f := frame(t, false, false, nil)
			packet.Parse(f)
			_, tagged := built.Tags(segment)
			if left := built.Leave(f, segment); left != (tagged || segment == m.spec.Native) {
				t.Errorf("%s: leaves segment %d: %v", m.name, segment, left)
			} else if !left {
				continue
			}
			again := frame(t, false, false, nil)
			again.Begin(f.Buf, f.Start, f.End, 1)
			if r := packet.Parse(again); r != drop.None {
				t.Fatalf("%s: what leaves does not parse: %s", m.name, r)
			}
			if back, r := built.Enter(again); back != segment || r != drop.None {
				t.Errorf("%s: %d comes back into %d: %s", m.name, segment, back, r)
			}
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, s := range map[string]Spec{
		"VID 0":                  {Native: None, Tags: map[Tags]uint16{{0, 0}: 1}},
		"VID 4095":               {Native: None, Tags: map[Tags]uint16{{4095, 0}: 1}},
		"inner VID 4095":         {Native: None, Tags: map[Tags]uint16{{1, 4095}: 1}},
		"a segment twice":        {Native: None, Tags: map[Tags]uint16{{1, 0}: 1, {2, 0}: 1}},
		"the native one, tagged": {Native: 1, Tags: map[Tags]uint16{{1, 0}: 1}},
		"no segment":             {Native: None, Tags: map[Tags]uint16{{1, 0}: None}},
	} {
		if _, err := Build(s); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	m, err := Build(modes(t)[4].spec)
	if err != nil {
		t.Fatal(err)
	}
	f := frame(t, false, false, []tag{{packet.EtherTypeVLAN, 10}, {packet.EtherTypeVLAN, 20}})
	if n := testing.AllocsPerRun(100, func() {
		packet.Parse(f)
		if s, _ := m.Enter(f); s != 3 || !m.Leave(f, s) {
			t.Fatal("it does not come in or go out")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
