package identity

import (
	"net/netip"

	"bulkhead/dataplane/packet"
)

// prefixes maps the longest prefix around an address to a number. It is a trie
// of four bits a step over one array: 8 loads for IPv4 at most, 32 for IPv6,
// fewer where prefixes are short. A step's answer is pushed down into the
// steps below it when it is built, so a look-up never goes back.
type prefixes struct {
	nodes []trieNode // nodes[0] is IPv4's root, nodes[1] IPv6's
}

// trieNode has, for each value of four bits, where to go on (0: nowhere) and
// the answer there, plus one (0: none).
type trieNode struct {
	child [16]uint32
	value [16]uint32
}

// newPrefixes makes an empty map with an answer for every address of both
// families, or none.
func newPrefixes() *prefixes { return &prefixes{nodes: make([]trieNode, 2)} }

// lookup returns the number of the longest prefix around a.
func (p *prefixes) lookup(a *packet.Addr) (uint32, bool) {
	if p == nil || len(p.nodes) == 0 {
		return 0, false
	}
	node, at := uint32(1), 0
	if a.Is4() {
		node, at = 0, 12
	}
	for ; at < 16; at++ {
		for shift := 4; shift >= 0; shift -= 4 {
			n := &p.nodes[node]
			nibble := a[at] >> shift & 15
			if n.child[nibble] == 0 {
				v := n.value[nibble]
				return v - min(v, 1), v != 0
			}
			node = n.child[nibble]
		}
	}
	return 0, false
}

// insert adds a prefix. Prefixes must be added from short to long.
func (p *prefixes) insert(prefix netip.Prefix, value uint32) {
	addr := prefix.Addr().As16()
	node, at, left := uint32(1), 0, prefix.Bits()
	if prefix.Addr().Is4() {
		node, at = 0, 24
	}
	for ; left > 4; left, at = left-4, at+1 {
		nibble := addr[at/2] >> (4 * (1 - at%2)) & 15
		node = p.down(node, nibble)
	}
	nibble := uint8(0)
	if at < 32 {
		nibble = addr[at/2] >> (4 * (1 - at%2)) & 15
	}
	first := nibble &^ (15 >> left)
	for i := range 16 >> left {
		p.set(node, first+uint8(i), value+1)
	}
}

// down goes on below a node, where every answer is at first the node's own.
func (p *prefixes) down(node uint32, nibble uint8) uint32 {
	if c := p.nodes[node].child[nibble]; c != 0 {
		return c
	}
	var fresh trieNode
	for i := range fresh.value {
		fresh.value[i] = p.nodes[node].value[nibble]
	}
	p.nodes = append(p.nodes, fresh)
	c := uint32(len(p.nodes) - 1)
	p.nodes[node].child[nibble] = c
	return c
}

// set gives an answer to a nibble and to everything below it that was added
// already, which is only what an equal prefix had.
func (p *prefixes) set(node uint32, nibble uint8, value uint32) {
	p.nodes[node].value[nibble] = value
	if c := p.nodes[node].child[nibble]; c != 0 {
		for i := range uint8(16) {
			p.set(c, i, value)
		}
	}
}
