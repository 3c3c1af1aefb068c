package identity

import "bulkhead/dataplane/packet"

// lanes is how many look-ups are under way at once: enough to keep the
// processor's misses overlapped, few enough for what they have in hand to stay
// in the nearest cache.
const lanes = 32

// IdentifyAll is Identify of many addresses of one VRF: ids[i] is that of
// addrs[i]; ids must be as long. One address after the other waits at each step
// down the trie for the memory of the next; here each step is taken by all
// before any takes the next, so the waits overlap
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
	var left [lanes]uint8 // the lanes of no endpoint's address
	n := 0
	for i := range addrs {
		_, id, found := t.ByAddr(zone, &addrs[i])
		if ids[i] = id; !found {
			left[n] = uint8(i)
			n++
		}
	}
	t.outside.lookupLanes(addrs, left[:n], ids)
}

// lookupLanes is lookup in the lanes that are left, all a step at a time.
func (p *prefixes) lookupLanes(addrs []packet.Addr, left []uint8, ids []ID) {
	if p == nil || len(p.nodes) == 0 {
		return // and they have nobody's identity already
	}
	var steps [lanes]step
	var halves [lanes]uint32
	for _, i := range left {
		steps[i%lanes], halves[i%lanes] = p.begin(&addrs[i])
	}
	for len(left) > 0 {
		on := left[:0]
		for _, i := range left {
			k := i % lanes
			s := steps[k]
			if s-1 >= answer-1 {
				ids[i] = ID(s &^ answer)
				continue
			}
			steps[k] = p.nodes[s][nibbleOf(&addrs[i], halves[k])]
			halves[k]++
			on = append(on, i)
		}
		left = on
	}
}
