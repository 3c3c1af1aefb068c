package vswitch

import (
	"fmt"

	"bulkhead/dataplane"
	"bulkhead/dataplane/meter"
	"bulkhead/dataplane/vlan"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// linkL2 makes what a port has beside: nil where the configuration asks for
// nothing, so that its frames are not held up.
func (l *linker) linkL2(c *config.Port, native uint16) (*dataplane.L2, error) {
	out := dataplane.L2{In: boundOf(c.L2.RateIn), Out: boundOf(c.L2.RateOut), Router: c.L2.MulticastRouter}
	out.Storm[dataplane.StormBroadcast] = boundOf(c.L2.StormBroadcast)
	out.Storm[dataplane.StormMulticast] = boundOf(c.L2.StormMulticast)
	out.Storm[dataplane.StormUnknown] = boundOf(c.L2.StormUnknown)
	if len(c.L2.VLANs) > 0 || c.L2.PriorityTags {
		spec := vlan.Spec{Native: native, Priority: c.L2.PriorityTags, Provider: c.L2.Provider, Tags: map[vlan.Tags]uint16{}}
		for _, v := range c.L2.VLANs {
			spec.Tags[vlan.Tags{Outer: v.Outer, Inner: v.Inner}] = l.segments[v.Segment]
		}
		var err error
		if out.VLANs, err = vlan.Build(spec); err != nil {
			return nil, fmt.Errorf("link port %q: %w", c.Name, err)
		}
	}
	if out == (dataplane.L2{}) {
		return nil, nil
	}
	return &out, nil
}

// describeL2 says for an operator what a port has beside.
func describeL2(out *api.Port, c *config.Port) {
	if c.Role != config.RoleUplink {
		out.VLANMode = c.VLANMode()
	}
	for _, v := range c.L2.VLANs {
		if out.VLANs == nil {
			out.VLANs = map[string]string{}
		}
		out.VLANs[v.String()] = v.Segment
	}
	for name, b := range map[string]config.Bound{
		"storm_broadcast": c.L2.StormBroadcast, "storm_multicast": c.L2.StormMulticast, "storm_unknown": c.L2.StormUnknown,
		"rate_in": c.L2.RateIn, "rate_out": c.L2.RateOut,
	} {
		if b == (config.Bound{}) {
			continue
		}
		if out.Bounds == nil {
			out.Bounds = map[string]string{}
		}
		out.Bounds[name] = b.String()
	}
}

func boundOf(b config.Bound) dataplane.Bound {
	return dataplane.Bound{Frames: meter.Of(b.Frames), Bytes: meter.Of(b.Bits / 8)}
}
