package vlan

import (
	"cmp"
	"fmt"
	"slices"

	"bulkhead/dataplane/packet"
)

// MaxTags bounds the tags of one port: one for each VLAN there can be.
const MaxTags = MaxVID

// Spec is what a port's Map is built from.
type Spec struct {
	Native   uint16          // None: untagged frames are refused
	Priority bool            // tags with VID 0 are taken off
	Provider bool            // the outer tag is an 802.1ad one, of type 88a8
	Tags     map[Tags]uint16 // tags -> segment
}

// Build makes a Map, or says what is wrong.
func Build(s Spec) (*Map, error) {
	m := &Map{native: s.Native, priority: s.Priority, trunk: len(s.Tags) > 0, outer: packet.EtherTypeVLAN}
	if s.Provider {
		m.outer = packet.EtherTypeQinQ
	}
	if len(s.Tags) > MaxTags {
		return nil, fmt.Errorf("%d tags on a port, of at most %d", len(s.Tags), MaxTags)
	}
	if m.trunk {
		m.single = new([4096]uint16)
	}
	for tags, segment := range s.Tags {
		if tags.Outer == 0 || tags.Outer > MaxVID || tags.Inner > MaxVID || segment == None {
			return nil, fmt.Errorf("tags %d.%d: a VLAN is 1 to %d", tags.Outer, tags.Inner, MaxVID)
		}
		m.out = append(m.out, pair{tags, segment})
		if tags.Inner == 0 {
			m.single[tags.Outer] = segment + 1
		} else {
			m.double = append(m.double, pair{tags, segment})
		}
	}
	slices.SortFunc(m.double, func(a, b pair) int { return cmp.Compare(a.tags.number(), b.tags.number()) })
	slices.SortFunc(m.out, func(a, b pair) int { return cmp.Compare(a.segment, b.segment) })
	for i := range m.out {
		if s := m.out[i].segment; s == m.native || i > 0 && s == m.out[i-1].segment {
			return nil, fmt.Errorf("segment %d is twice on a port: its frames could leave in two ways", s)
		}
	}
	return m, nil
}
