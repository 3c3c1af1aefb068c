package dataplane

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/meter"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/vlan"
)

// L2 is what a port has beside the walk that all frames take. It is immutable,
// as the snapshot that has it.
type L2 struct {
	// VLANs says which segment a tagged frame is in; nil: the port's own
	// segment, and no tag is taken.
	VLANs *vlan.Map
	// Router: a multicast router is on the port, which hears every group and may ask
	// who listens.
	Router bool
	// LoopRetry: the port is watched for loops, and blocked for so many nanoseconds
	// since the last sign of one; 0: it is not watched.
	LoopRetry Time
	// Storm bounds what the port may have flooded, by kind, before it is copied.
	Storm [storms]Bound
	// In bounds what comes in by the port, Out what goes out. What comes in by
	// an uplink is counted with its tunnel.
	In, Out Bound
}

// Bound is how much may pass in a second. A superframe counts as the frames,
// and the bytes, that it will be on a wire.
type Bound struct {
	Frames, Bytes meter.Rate
}

// storm is a kind of frame that is flooded.
type storm uint8

const (
	stormBroadcast storm = iota
	stormMulticast
	stormUnknown
	storms = 3
)

// Kinds of frames in L2.Storm.
const (
	StormBroadcast = stormBroadcast
	StormMulticast = stormMulticast
	StormUnknown   = stormUnknown
)

var stormReasons = [storms]drop.Reason{drop.StormBroadcast, drop.StormMulticast, drop.StormUnknown}

// stormOf is the kind of a frame to a group's MAC.
func stormOf(dst packet.MAC) storm {
	if dst == (packet.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) {
		return stormBroadcast
	}
	return stormMulticast
}

// Links is what the bounds of each port have seen, by packet.PortID. Workers
// share it; each word of it guards itself.
type Links struct {
	ports [packet.MaxPorts]link
}

// link is one port's.
type link struct {
	storm   [storms]gauge
	in, out gauge
	loop    looped
}

// gauge measures frames and bytes.
type gauge struct{ frames, bytes meter.Meter }

// take lets a frame pass, or says that it may not. Of the two bounds that of
// the frames is asked first; what it gave and the other refuses is lost, which
// makes a port at both its bounds a little slower, never faster.
func (g *gauge) take(x *walk, b *Bound, f *packet.Frame) bool {
	if x.rec != nil || !b.Frames.Bound() && !b.Bytes.Bound() {
		return true // a trace passes nothing, and takes nothing
	}
	n, bytes := onWire(f)
	return g.frames.Take(b.Frames, x.now, n) && g.bytes.Take(b.Bytes, x.now, bytes)
}

// onWire is how many frames, and bytes, a parsed frame is where it is not a
// superframe any more.
func onWire(f *packet.Frame) (frames, bytes int) {
	n := packet.Segments(f)
	return n, f.Len() + (n-1)*(int(f.Outer)+int(f.Headers.Payload))
}

// link returns the state of a port.
func (x *walk) link(id packet.PortID) *link { return &x.State.Links.ports[id%packet.MaxPorts] }

// admit is what a port with bounds or tags does to a frame that comes in.
func (x *walk) admit(f *packet.Frame, p *passage) drop.Reason {
	l2 := p.port.L2
	if p.port.Role == RoleMirror {
		return drop.MirrorPort
	}
	if l2.LoopRetry != 0 && x.link(f.Ingress).loop.until.Load() > x.now {
		return drop.LoopBlocked
	}
	if !x.link(f.Ingress).in.take(x, &l2.In, f) {
		return drop.RateIn
	}
	if l2.VLANs == nil {
		return drop.None
	}
	var reason drop.Reason
	if p.segment, reason = l2.VLANs.Enter(f); reason != drop.None {
		return reason
	}
	if x.rec != nil {
		x.rec.note("parse", "in segment %s", x.s.Names.segment(p.segment))
	}
	return drop.None
}

// discharge is what such a port does to a frame that goes out.
func (x *walk) discharge(f *packet.Frame, id packet.PortID, l2 *L2, segment uint16) drop.Reason {
	if x.s.Ports[id].Role == RoleMirror {
		return drop.MirrorPort
	}
	if l2.LoopRetry != 0 && x.link(id).loop.until.Load() > x.now {
		return drop.LoopBlocked
	}
	if l2.VLANs != nil && segment != NoSegment && !l2.VLANs.Leave(f, segment) {
		return drop.NoHeadroom
	}
	if !x.link(id).out.take(x, &l2.Out, f) {
		return drop.RateOut
	}
	return drop.None
}

// calm says whether the port of a frame may have one more of its kind flooded.
func (x *walk) calm(f *packet.Frame, l2 *L2, kind storm) drop.Reason {
	if !x.link(f.Ingress).storm[kind].take(x, &l2.Storm[kind], f) {
		return stormReasons[kind]
	}
	return drop.None
}
