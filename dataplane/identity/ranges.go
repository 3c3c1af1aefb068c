package identity

import (
	"cmp"
	"slices"

	"bulkhead/dataplane/packet"
)

// newPrefixes makes the map of a list; of equal prefixes the last one counts.
// The first piece of IPv4 is an array, unless blocks is negative or there is nothing
// to find; and so are the bytes of the second if these take so many at the most.
func newPrefixes(list []outsidePrefix, blocks int) *prefixes {
	b := &ranging{p: &prefixes{nodes: make([]node, 1)}}
	var of4, of6 []ranged
	for _, p := range list {
		r := ranged{packet.AddrFrom(p.prefix.Addr()), p.prefix.Bits(), answer | step(p.id)}
		if p.prefix.Addr().Is4() { // not one that is IPv6 and says IPv4: no address is looked up there
			r.bits += 96
			of4 = append(of4, r)
			continue
		}
		of6 = append(of6, r)
	}
	b.root4(sortRanged(of4), blocks)
	b.p.root6 = b.pack(b.ranges(sortRanged(of6), 0, answer))
	return b.p
}

// root4 makes the table of IPv4.
func (b *ranging) root4(list []ranged, most int) {
	if most < 0 || !slices.ContainsFunc(list, func(r ranged) bool { return r.bits > 96 }) {
		b.p.root4 = b.pack(b.ranges(list, 6, answer))
		return
	}
	b.keep = true
	first := b.ranges(list, 6, answer)
	b.keep = false
	if blocks := b.blocks(); blocks <= most {
		b.p.blocks = make([]step, 0, blocks<<8)
		b.fresh() // a first step there is, too: it is loaded where an answer stays
		for i := range first {
			first[i].step = b.kept(first[i].step, b.block)
		}
		b.p.wide = widen(first)
		return
	}
	same := map[step]step{}
	for i := range first {
		first[i].step = b.kept(first[i].step, func(list []span) step { return b.pack(list) | next })
		if first[i].step&answer != 0 {
			first[i].step = b.sameNode(same, first[i].step)
		}
	}
	b.p.wide = widen(first)
}

// ranged is a prefix on its way into ranges: bits counts from the first of 128.
type ranged struct {
	addr packet.Addr
	bits int
	step step
}

// sortRanged sorts prefixes so that one stands before all that lie in it.
func sortRanged(list []ranged) []ranged {
	slices.SortStableFunc(list, func(x, y ranged) int {
		return cmp.Or(slices.Compare(x.addr[:], y.addr[:]), cmp.Compare(x.bits, y.bits))
	})
	return list
}

// span is a range of a piece; it ends where the next one begins.
type span struct {
	first uint32
	step  step
}

// open is a prefix whose end in the piece has not come yet.
type open struct {
	last uint32
	step step
}

// ranging makes the steps.
type ranging struct {
	p     *prefixes
	keep  bool     // the ranges of pieces below, for root4 to decide what they become
	lists [][]span // that were kept
}

// below returns the step to ranges of a next piece.
func (b *ranging) below(list []span) step {
	if len(list) == 1 {
		return list[0].step
	}
	if b.keep {
		b.lists = append(b.lists, list)
		return next | step(len(b.lists)-1)
	}
	return next | b.pack(list)
}

// kept makes of ranges that were kept what to does; other steps stay.
func (b *ranging) kept(s step, to func([]span) step) step {
	if s&answer != 0 {
		return s
	}
	return to(b.lists[s&^next])
}

// ranges returns what prefixes say of a piece of an address. They are sorted, agree
// in all pieces before, and are longer than these; around is what those say that
// are not. Prefixes lie in one another or apart, so it is enough to know which
// are open.
func (b *ranging) ranges(list []ranged, at uint32, around step) []span {
	out := []span{{0, around}}
	opened := []open{{0xffff, around}}
	closeBefore := func(first uint32) {
		for len(opened) > 1 && opened[len(opened)-1].last < first {
			end := opened[len(opened)-1].last + 1
			opened = opened[:len(opened)-1]
			if end < 1<<16 {
				out = begin(out, end, opened[len(opened)-1].step)
			}
		}
	}
	for len(list) > 0 {
		first, left := pieceOf(&list[0].addr, at), list[0].bits-16*int(at)
		closeBefore(first)
		if left <= 16 {
			out = begin(out, first, list[0].step)
			opened = append(opened, open{first | 0xffff>>max(0, left), list[0].step})
			list = list[1:]
			continue
		}
		n := 1
		for n < len(list) && pieceOf(&list[n].addr, at) == first {
			n++
		}
		s := b.below(b.ranges(list[:n], at+1, opened[len(opened)-1].step))
		out = begin(out, first, s)
		opened = append(opened, open{first, s})
		list = list[n:]
	}
	closeBefore(1 << 16)
	return out
}

// begin begins a range, which may take the place of one that begins there, or go
// on with the one before.
func begin(out []span, first uint32, s step) []span {
	if last := len(out) - 1; out[last].first == first {
		out = out[:last]
	}
	if last := len(out) - 1; last >= 0 && out[last].step == s {
		return out
	}
	return append(out, span{first, s})
}

// pack puts ranges into nodes, and returns the step there.
func (b *ranging) pack(list []span) step {
	if len(list) == 1 {
		return list[0].step
	}
	bits := bitsFor(list)
	at := len(b.p.nodes)
	b.p.nodes = append(b.p.nodes, make([]node, 1<<bits)...)
	for i := range 1 << bits {
		from, to := uint32(i)<<(16-bits), uint32(i+1)<<(16-bits)
		b.fill(at+i, within(list, from, to))
	}
	return step(at) | step(16-bits)<<shiftAt
}

// bitsFor returns how many bits of a piece choose a node: so many that no node has
// too many ranges, as long as there are twice as many ranges as nodes.
func bitsFor(list []span) uint32 {
	bits := uint32(0)
	for ; 4<<bits <= len(list) && crowded(list, bits); bits++ {
	}
	return bits
}

func crowded(list []span, bits uint32) bool {
	for i := range uint32(1) << bits {
		if len(within(list, i<<(16-bits), (i+1)<<(16-bits))) > nodeRanges {
			return true
		}
	}
	return false
}

// within returns the ranges that have a part between from and to, to excluded.
func within(list []span, from, to uint32) []span {
	first, _ := slices.BinarySearchFunc(list, from+1, func(s span, x uint32) int { return cmp.Compare(s.first, x) })
	end, _ := slices.BinarySearchFunc(list, to, func(s span, x uint32) int { return cmp.Compare(s.first, x) })
	return list[first-1 : end]
}

// fill writes a node. If there are more ranges than it has, each of its steps but
// the last is a full tree of nodes.
func (b *ranging) fill(at int, list []span) {
	full := 1
	for full*nodeRanges < len(list) {
		full *= nodeRanges
	}
	n := node{keys: [3]uint64{noKey * each, noKey * each, noKey * each}}
	for i, part := range slices.Collect(slices.Chunk(list, full)) {
		n.steps[i] = part[0].step
		if i > 0 {
			n.keys[(i-1)/3] ^= (noKey ^ uint64(part[0].first)) << ((i - 1) % 3 * keyBits)
		}
		if len(part) > 1 {
			below := len(b.p.nodes)
			b.p.nodes = append(b.p.nodes, node{})
			b.fill(below, part)
			n.steps[i] = step(below) | 16<<shiftAt
		}
	}
	b.p.nodes[at] = n
}

// widen is the array of a piece's ranges.
func widen(list []span) *[1 << 16]step {
	wide := &[1 << 16]step{}
	eachRange(list, func(first, last uint32, s step) {
		for piece := first; piece <= last; piece++ {
			wide[piece] = s
		}
	})
	return wide
}

// eachRange goes through the ranges of a piece.
func eachRange(list []span, do func(first, last uint32, s step)) {
	for i, s := range list {
		last := uint32(1<<16 - 1)
		if i+1 < len(list) {
			last = list[i+1].first - 1
		}
		do(s.first, last, s.step)
	}
}

// sameNode returns the step to a node that gives one answer throughout.
func (b *ranging) sameNode(known map[step]step, s step) step {
	if to, is := known[s]; is {
		return to
	}
	at := len(b.p.nodes)
	b.p.nodes = append(b.p.nodes, node{})
	b.fill(at, []span{{0, s}})
	known[s] = next | 16<<shiftAt | step(at)
	return known[s]
}
