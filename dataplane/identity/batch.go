package identity

import (
	"encoding/binary"

	"bulkhead/dataplane/packet"
)

// lanes is how many look-ups are under way at once: enough to keep the
// processor's misses overlapped, few enough for what they have in hand to stay
// in the nearest cache.
const lanes = 32

// IdentifyAll is Identify of many addresses of one VRF: ids[i] is that of
// addrs[i]; ids must be as long. One address after the other waits at each step
// for the memory of the next; here each IPv4 address takes its first two, and then
// those that are not done take one more together, so the waits overlap
// (BenchmarkDecide of bench/classbench).
func (t *Table) IdentifyAll(zone uint16, addrs []packet.Addr, ids []ID) {
	ids = ids[:len(addrs)]
	for len(addrs) > 0 {
		n := min(lanes, len(addrs))
		t.identifyLanes(zone, addrs[:n], ids[:n])
		addrs, ids = addrs[n:], ids[n:]
	}
}

func (t *Table) identifyLanes(zone uint16, addrs []packet.Addr, ids []ID) {
	var l prefixLanes
	if t.outside == nil || t.outside.wide == nil {
		for i := range addrs {
			ids[i], _ = t.Identify(zone, &addrs[i])
		}
		return
	}
	n, others := uint32(0), uint32(0)
	if t.outside.blocks != nil {
		others = t.blockLanes(&l, addrs, ids)
	} else {
		n, others = t.beginLanes(&l, addrs, ids)
	}
	for _, i := range l.other[:others] {
		ids[i], _ = t.Identify(zone, &addrs[i])
	}
	for n > 0 {
		n = t.outside.stepLanes(&l, n, ids)
	}
}

// prefixLanes is what the lanes have in hand.
type prefixLanes struct {
	step  [lanes]step
	piece [lanes]uint32
	on    [lanes]uint8 // those in which there is more to do
	other [lanes]uint8 // those of IPv6, or near an endpoint
}

// beginLanes takes the first two steps of addresses of IPv4 that no endpoint is
// near. It jumps nowhere by what such an address is, for the processor could not
// foretell it: which lanes go on is counted.
func (t *Table) beginLanes(l *prefixLanes, addrs []packet.Addr, ids []ID) (n, others uint32) {
	p, wide := t.outside, t.outside.wide
	ids = ids[:len(addrs)]
	for i := range addrs {
		a, k := &addrs[i], uint32(i)%lanes
		l.other[others%lanes] = uint8(i)
		if !a.Is4() || t.isNear(a) {
			others++
			continue
		}
		both := binary.BigEndian.Uint32(a[12:])
		piece := both & 0xffff
		s := p.node(wide[both>>16], piece).step(piece)
		l.step[k], l.piece[k], ids[i] = s, piece, ID(s&^answer)
		l.on[n%lanes] = uint8(i)
		n += uint32(^s / answer)
	}
	return n, others
}

// blockLanes is beginLanes where steps are arrays: then that is all.
func (t *Table) blockLanes(l *prefixLanes, addrs []packet.Addr, ids []ID) (others uint32) {
	p, wide := t.outside, t.outside.wide
	ids = ids[:len(addrs)]
	for i := range addrs {
		a := &addrs[i]
		l.other[others%lanes] = uint8(i)
		if !a.Is4() || t.isNear(a) {
			others++
			continue
		}
		both := binary.BigEndian.Uint32(a[12:])
		s := p.blockStep(wide[both>>16], both>>8&255)
		ids[i] = ID(p.blockStep(s, both&255) &^ answer)
	}
	return others
}

// stepLanes takes a step in the n lanes that are on, and returns how many still
// are.
func (p *prefixes) stepLanes(l *prefixLanes, n uint32, ids []ID) (left uint32) {
	for _, i := range l.on[:n] {
		k := i % lanes
		s := p.node(l.step[k], l.piece[k]).step(l.piece[k])
		l.step[k], ids[i] = s, ID(s&^answer)
		l.on[left%lanes] = i
		left += uint32(^s / answer)
	}
	return left
}
