package vswitch

import (
	"fmt"

	"bulkhead/dataplane"
	"bulkhead/dataplane/meter"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/vlan"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
)

// linkL2 makes what a port has beside: nil where the configuration asks for
// nothing, so that its frames are not held up.
func (l *linker) linkL2(c *config.Port, native uint16) (*dataplane.L2, error) {
	out := dataplane.L2{In: boundOf(c.L2.RateIn), Out: boundOf(c.L2.RateOut), Router: c.L2.MulticastRouter,
		LoopRetry: dataplane.Time(c.L2.LoopRetry) * 1e9}
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
	if out == (dataplane.L2{}) && c.Role != config.RoleMirror { // whose port the walk knows by its L2
		return nil, nil
	}
	return &out, nil
}

// describeL2 says for an operator what a port has beside.
func describeL2(out *api.Port, c *config.Port) {
	if c.Role == config.RoleWorkload {
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

// blocked says that a port is blocked because of a loop; empty if it is not.
func (sw *Switch) blocked(l *live, id packet.PortID) string {
	if !watched(l.snapshot, id) {
		return ""
	}
	with, left, is := sw.state.Links.Blocked(id, sw.now())
	switch {
	case !is:
		return ""
	case with == id:
		return fmt.Sprintf("loop: what it sends comes back by it; tried again in %d s if nothing more does", left/1e9+1)
	}
	return fmt.Sprintf("loop with port %s; tried again in %d s if there is no more sign of it", portAt(l, with), left/1e9+1)
}

// watched tells whether a port is watched for loops.
func watched(s *dataplane.Snapshot, id packet.PortID) bool {
	return int(id) < len(s.Ports) && s.Ports[id].L2 != nil && s.Ports[id].L2.LoopRetry != 0
}

// forgetLoops forgets what is known of loops through ports that are watched no more:
// who takes the key away and gives it again has the port tried at once.
func (sw *Switch) forgetLoops(before, now *dataplane.Snapshot) {
	for _, id := range before.Probed {
		if !watched(now, id) {
			sw.state.Links.Forget(id)
		}
	}
}

// logLoops tells of ports that a loop has blocked since it was last called, and of
// those that are blocked no more; told are those that are known to be.
func (sw *Switch) logLoops(told map[packet.PortID]string) {
	l := sw.live.Load()
	for _, id := range l.snapshot.Probed {
		why := sw.blocked(l, id)
		if _, known := told[id]; why != "" && !known {
			sw.log.Warn("port-blocked", "port", portAt(l, id), "why", why, "cure", "take the loop apart; the port is then tried again by itself")
			told[id] = portAt(l, id)
		}
	}
	for id, name := range told {
		if sw.blocked(l, id) == "" {
			sw.log.Info("port-unblocked", "port", name)
			delete(told, id)
		}
	}
}
