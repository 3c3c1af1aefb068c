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
	var node, at [lanes]uint32 // at counts half bytes
	for _, i := range left {
		if node[i%lanes] = 1; addrs[i].Is4() {
			node[i%lanes], at[i%lanes] = 0, 24
		}
	}
	for len(left) > 0 {
		on := left[:0]
		for _, i := range left {
			k := i % lanes
			n, half := &p.nodes[node[k]], at[k]
			nibble := addrs[i][half/2&15] >> (4 * (^half & 1)) & 15
			if n.child[nibble] == 0 || half == 31 {
				v := n.value[nibble]
				ids[i] = ID(v - min(v, 1))
				continue
			}
			node[k], at[k] = n.child[nibble], half+1
			on = append(on, i)
		}
		left = on
	}
}
