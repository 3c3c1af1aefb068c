package config

import (
	"fmt"
	"slices"
	"strconv"
)

// PortL2 is what a port has beside: it may change without the port being opened
// anew.
type PortL2 struct {
	// VLANs make the port a trunk: tags and their segments, sorted. The port's own
	// Segment, if it has one, is then where untagged frames are.
	VLANs []VLAN
	// Provider: the outer tag is of type 88a8, as 802.1ad has it.
	Provider bool
	// PriorityTags: a tag with VID 0 is taken off, instead of refused.
	PriorityTags bool
	// LoopRetry: the port is watched for loops, and blocked for so many seconds since
	// the last sign of one; 0: it is not watched.
	LoopRetry int
	// MulticastRouter: a router is on the port, which hears every group.
	MulticastRouter bool
	// What the port may have flooded, and what may come in and go out.
	StormBroadcast, StormMulticast, StormUnknown Bound
	RateIn, RateOut                              Bound
}

// VLAN is the tags of a segment on a port; Inner is 0 where there is one tag.
type VLAN struct {
	Outer, Inner uint16
	Segment      string
}

// String writes the tags as the configuration has them.
func (v VLAN) String() string {
	if v.Inner == 0 {
		return strconv.Itoa(int(v.Outer))
	}
	return fmt.Sprintf("%d.%d", v.Outer, v.Inner)
}

// Bound is how much may pass in a second; 0 is no bound.
type Bound struct{ Frames, Bits uint64 }

// VLANMode is how a port treats tags: access, trunk, or native, which is a trunk
// on which untagged frames have a segment.
func (p *Port) VLANMode() string {
	switch {
	case len(p.L2.VLANs) == 0:
		return "access"
	case p.Segment == "":
		return "trunk"
	}
	return "native"
}

// Segments are those that a port is in.
func (p *Port) Segments() (names []string) {
	if p.Segment != "" {
		names = append(names, p.Segment)
	}
	for _, v := range p.L2.VLANs {
		names = append(names, v.Segment)
	}
	return names
}

// Carries tells whether a port is in a segment.
func (p *Port) Carries(segment string) bool { return slices.Contains(p.Segments(), segment) }
