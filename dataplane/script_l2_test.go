package dataplane_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bulkhead/dataplane"
	"bulkhead/dataplane/meter"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/vlan"
)

// l2 reads what a port's line says of tags and bounds:
//
//	vlans=10:front,20.30:back  priority-tags  provider
//	in=100pps  out=1000Bps,50pps  broadcast=10pps  multicast=10pps  unknown=10pps
func (w *world) l2(l *line, native uint16) (*dataplane.L2, []uint16) {
	out := dataplane.L2{In: bound(l, "in"), Out: bound(l, "out"), Router: l.flag("router")}
	if d := l.opt("loop-retry"); d != "" {
		out.LoopRetry = int64(l.duration(d))
	}
	out.Storm[dataplane.StormBroadcast] = bound(l, "broadcast")
	out.Storm[dataplane.StormMulticast] = bound(l, "multicast")
	out.Storm[dataplane.StormUnknown] = bound(l, "unknown")
	spec := vlan.Spec{Native: native, Priority: l.flag("priority-tags"), Provider: l.flag("provider"), Tags: map[vlan.Tags]uint16{}}
	var carried []uint16
	for _, text := range l.list("vlans") {
		tags, name, _ := strings.Cut(text, ":")
		var t vlan.Tags
		if n, _ := fmt.Sscanf(tags, "%d.%d", &t.Outer, &t.Inner); n == 0 {
			l.fail("%q are no tags", tags)
		}
		spec.Tags[t] = w.segment(l, name)
		carried = append(carried, spec.Tags[t])
	}
	if len(spec.Tags) > 0 || spec.Priority {
		m, err := vlan.Build(spec)
		if err != nil {
			l.fail("%v", err)
		}
		out.VLANs = m
	}
	if out == (dataplane.L2{}) {
		return nil, nil
	}
	return &out, carried
}

// bound reads so many frames (pps), bytes (Bps), or both.
func bound(l *line, key string) (b dataplane.Bound) {
	for _, text := range l.list(key) {
		digits := strings.TrimRight(text, "psB")
		n, err := strconv.ParseUint(digits, 10, 64)
		switch unit := text[len(digits):]; {
		case err != nil:
			l.fail("%q: %v", text, err)
		case unit == "pps":
			b.Frames = meter.Of(n)
		case unit == "Bps":
			b.Bytes = meter.Of(n)
		default:
			l.fail("%q is no unit", unit)
		}
	}
	return b
}

// segments are those that a port is in.
func (p *port) segments() []uint16 {
	if p.Segment == dataplane.NoSegment {
		return p.carried
	}
	return append([]uint16{p.Segment}, p.carried...)
}

// probe writes a probe of the switch's own that leaves, and keeps it.
func (r *scriptRun) probe(f *packet.Frame) (text string, is bool) {
	b := f.Bytes()
	at := 12
	for binary.BigEndian.Uint16(b[at:]) == packet.EtherTypeVLAN {
		text += fmt.Sprintf(" vlan %d", binary.BigEndian.Uint16(b[at+2:]))
		at += 4
	}
	if binary.BigEndian.Uint16(b[at:]) != 0x88b5 {
		return "", false
	}
	name := r.w.portName(f.Egress)
	if r.probes == nil {
		r.probes = map[string][][]byte{}
	}
	r.probes[name] = append(r.probes[name], slices.Clone(b))
	return "probe of " + name + text, true
}

// loop brings a probe of one port in by another: the last, or with age=N the Nth
// before it; with forged its number is wrong, with as=PORT it names another port.
func (r *scriptRun) loop(l *line) ([]string, error) {
	l.word()
	probes := r.probes[l.word()]
	ingress := r.w.portID(l, l.word())
	at := len(probes) - 1
	if age := l.opt("age"); age != "" {
		n, _ := strconv.Atoi(age)
		at -= n
	}
	if at < 0 {
		return nil, fmt.Errorf("that port has sent no such probe")
	}
	b := slices.Clone(probes[at])
	if l.flag("forged") {
		b[len(b)-1] ^= 2
	}
	if name := l.opt("as"); name != "" {
		binary.BigEndian.PutUint16(b[len(b)-10:], uint16(r.w.portID(l, name)))
	}
	return r.send(&sent{bytes: b, headroom: packet.Headroom}, ingress, 1), l.done()
}
