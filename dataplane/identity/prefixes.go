package identity

import (
	"net/netip"

	"bulkhead/dataplane/packet"
)

// prefixes maps the longest prefix around an address to a number. It is a trie
// of four bits a step over one array, a cache line a step: 8 for IPv4 at most, 32
// for IPv6, fewer where prefixes are short. An answer is pushed down to where the
// steps end when it is built, so a step is either an answer or the next one, and a
// look-up never goes back.
//
// The outside of a table gets a root of 16 bits for IPv4, which has four steps in
// one: 5 lines instead of 8 at most. It takes 256 KiB, of which only those lines
// come into a cache that are asked for, so it pays with ten prefixes as with
// 100,000 (BenchmarkOutside).
type prefixes struct {
	nodes []trieNode // nodes[root4] is IPv4's root, nodes[root6] IPv6's; 0 is none
	wide  *[1 << 16]step
}

// trieNode has a step for each value of four bits.
type trieNode [16]step

// step is where to go on, a number of a node; or, with the bit answer set, what
// the prefix means; or 0: nothing.
type step uint32

const (
	root4, root6 = 1, 2
	answer       = step(1 << 31) // numbers are below: there is no memory for as many
)

// newPrefixes makes an empty map with an answer for every address of both
// families, or none.
func newPrefixes() *prefixes { return &prefixes{nodes: make([]trieNode, 3)} }

// lookup returns the number of the longest prefix around a.
func (p *prefixes) lookup(a *packet.Addr) (uint32, bool) {
	if p == nil || len(p.nodes) == 0 {
		return 0, false
	}
	s, half := p.begin(a)
	for s-1 < answer-1 { // neither nothing nor an answer
		s, half = p.nodes[s][nibbleOf(a, half)], half+1
	}
	return uint32(s &^ answer), s != 0
}

// begin is the first step of a look-up, and the half byte that the next one goes
// by.
func (p *prefixes) begin(a *packet.Addr) (s step, half uint32) {
	switch {
	case !a.Is4():
		return root6, 0
	case p.wide != nil:
		return p.wide[uint16(a[12])<<8|uint16(a[13])], 28
	}
	return root4, 24
}

// nibbleOf is half byte number half of an address, which has 32.
func nibbleOf(a *packet.Addr, half uint32) uint8 { return a[half/2&15] >> (4 * (^half & 1)) & 15 }

// insert adds a prefix. Prefixes must be added from short to long, and all before
// widen.
func (p *prefixes) insert(prefix netip.Prefix, value uint32) {
	a := packet.AddrFrom(prefix.Addr())
	node, half, left := step(root6), uint32(0), prefix.Bits()
	if prefix.Addr().Is4() { // not one that is IPv6 and says IPv4: no address is looked up there
		node, half = root4, 24
	}
	for ; left > 4; left, half = left-4, half+1 {
		node = p.down(node, nibbleOf(&a, half))
	}
	first := nibbleOf(&a, half) &^ (15 >> left)
	for i := range 16 >> left {
		p.set(node, first+uint8(i), step(value)|answer)
	}
}

// down goes on below a node, where every answer is at first the node's own.
func (p *prefixes) down(node step, nibble uint8) step {
	s := p.nodes[node][nibble]
	if s-1 < answer-1 {
		return s
	}
	var fresh trieNode
	for i := range fresh {
		fresh[i] = s
	}
	p.nodes = append(p.nodes, fresh)
	c := step(len(p.nodes) - 1)
	p.nodes[node][nibble] = c
	return c
}

// set gives an answer to a nibble, or to everything below it that was added
// already, which is only what an equal prefix had.
func (p *prefixes) set(node step, nibble uint8, value step) {
	c := p.nodes[node][nibble]
	if c-1 >= answer-1 {
		p.nodes[node][nibble] = value
		return
	}
	for i := range uint8(16) {
		p.set(c, i, value)
	}
}

// widen makes the wide root, if there is an IPv4 prefix for which it saves more
// than a step.
func (p *prefixes) widen() {
	if p.depth(root4) <= 2 {
		return
	}
	wide := &[1 << 16]step{}
	for top := range wide {
		s, a := step(root4), packet.AddrFrom4([4]byte{byte(top >> 8), byte(top)})
		for half := uint32(24); half < 28 && s-1 < answer-1; half++ {
			s = p.nodes[s][nibbleOf(&a, half)]
		}
		wide[top] = s
	}
	p.wide = wide
}
