// Package vlan says which segment a tagged frame is in, and which tags a frame
// of a segment leaves with: what makes a port a trunk.
//
// A trunk has a list: VLAN identifiers (IEEE 802.1Q 9.6), or pairs of an outer
// and an inner one (802.1ad), each with its segment, and each segment with one
// of them at the most, so that the way back is as plain as the way in. Nothing
// else gets in: no identifier that is not listed, no second tag behind one that
// is listed alone (the double tag of VLAN hopping), no other tag type. The
// reserved identifier 4095 cannot be listed, and 0, which names no VLAN, only
// a priority, is a rule of its own.
//
//	tags of the frame           access              trunk             trunk with a native segment
//	none                        the segment         vlan-untagged     the native segment
//	VID 0 alone                 vlan-tag (*)        vlan-untagged     vlan-tag (*)
//	one, listed                 vlan-tag            its segment       its segment
//	one, not listed; 4095       vlan-tag            vlan-unknown      vlan-unknown
//	two, the pair listed        vlan-tag            its segment       its segment
//	two, not listed as a pair   vlan-tag            vlan-unknown      vlan-unknown
//	listed, of another type     vlan-tag            vlan-tag          vlan-tag
//
//	(*) with priority tags allowed: as if there were no tag
//
// A Map is built off the path and never changed; any number of workers read it.
// Nothing here allocates but Build.
package vlan

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// None is the number of no segment.
const None = 0xffff

// MaxVID is the highest identifier of a VLAN: 4095 is reserved, 0 is none.
const MaxVID = 4094

// Tags are the identifiers that a frame carries; Inner is 0 for one tag.
type Tags struct{ Outer, Inner uint16 }

// Map is the tags of one port.
type Map struct {
	native   uint16        // where untagged frames are; None: nowhere
	priority bool          // a tag with VID 0 is taken off
	trunk    bool          // some tags are listed
	outer    uint16        // the type of a port's own tag: 8100 or 88a8
	single   *[4096]uint16 // VID -> segment plus one; nil for an access port
	double   []pair        // sorted by tags
	out      []pair        // sorted by segment
}

// pair is tags and their segment.
type pair struct {
	tags    Tags
	segment uint16
}

func (t Tags) number() uint32 { return uint32(t.Outer)<<16 | uint32(t.Inner) }

// Enter takes the port's own tags off a parsed frame and returns the segment
// that it is in, or the reason why it is in none.
func (m *Map) Enter(f *packet.Frame) (segment uint16, reason drop.Reason) {
	h := &f.Headers
	if h.VLANs == 0 {
		if m.native == None {
			return None, drop.VLANUntagged
		}
		return m.native, drop.None
	}
	if h.VLANs == 1 && packet.VID(h.VLAN[0]) == 0 {
		return m.enterPriority(f)
	}
	if !m.trunk {
		return None, drop.VLANTag
	}
	if !m.ownTypes(f) {
		return None, drop.VLANTag
	}
	segment, found := m.segment(h)
	if !found {
		return None, drop.VLANUnknown
	}
	for range h.VLANs {
		packet.PopVLAN(f)
	}
	return segment, drop.None
}

// enterPriority is Enter for a frame whose tag says a priority and no VLAN.
func (m *Map) enterPriority(f *packet.Frame) (uint16, drop.Reason) {
	switch {
	case m.native == None:
		return None, drop.VLANUntagged
	case !m.priority || tagType(f, 0) != packet.EtherTypeVLAN:
		return None, drop.VLANTag
	}
	packet.PopVLAN(f)
	return m.native, drop.None
}

// ownTypes tells whether the tags are of the types that the port's are.
func (m *Map) ownTypes(f *packet.Frame) bool {
	return tagType(f, 0) == m.outer && (f.Headers.VLANs == 1 || tagType(f, 1) == packet.EtherTypeVLAN)
}

// tagType reads the type of tag i.
func tagType(f *packet.Frame, i int) uint16 {
	return binary.BigEndian.Uint16(f.Bytes()[12+4*i:])
}

// segment finds the segment of a frame's tags.
func (m *Map) segment(h *packet.Headers) (uint16, bool) {
	outer := packet.VID(h.VLAN[0])
	if h.VLANs == 1 {
		s := m.single[outer]
		return s - 1, s != 0
	}
	want := Tags{outer, packet.VID(h.VLAN[1])}.number()
	low, high := 0, len(m.double)
	for low < high {
		if mid := (low + high) / 2; m.double[mid].tags.number() < want {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(m.double) || m.double[low].tags.number() != want {
		return None, false
	}
	return m.double[low].segment, true
}

// Leave puts the tags of a segment on a parsed frame, with priority 0. It
// returns false if the port is not in the segment or there is no headroom, and
// then the frame must not leave.
func (m *Map) Leave(f *packet.Frame, segment uint16) bool {
	if segment == m.native {
		return true
	}
	tags, found := m.Tags(segment)
	if !found {
		return false
	}
	if tags.Inner != 0 && !packet.PushVLAN(f, packet.EtherTypeVLAN, tags.Inner) {
		return false
	}
	return packet.PushVLAN(f, m.outer, tags.Outer)
}

// Tags returns the tags of a segment, if it has some on this port.
func (m *Map) Tags(segment uint16) (Tags, bool) {
	low, high := 0, len(m.out)
	for low < high {
		if mid := (low + high) / 2; m.out[mid].segment < segment {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(m.out) || m.out[low].segment != segment {
		return Tags{}, false
	}
	return m.out[low].tags, true
}

// Native returns the segment of untagged frames; None if there is none.
func (m *Map) Native() uint16 { return m.native }

// First returns the tags that stand first in the list; found is false for an
// access port.
func (m *Map) First() (tags Tags, segment uint16, found bool) {
	if len(m.out) == 0 {
		return Tags{}, None, false
	}
	return m.out[0].tags, m.out[0].segment, true
}
