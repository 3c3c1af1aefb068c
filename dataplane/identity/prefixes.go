package identity

import (
	"encoding/binary"

	"bulkhead/dataplane/packet"
)

// prefixes maps the longest prefix around an address to a number.
//
// An address is read 16 bits at a time, two pieces for IPv4 and eight for IPv6.
// What the prefixes say of a piece is a list of ranges, each with a step: an
// answer, or where the next piece is looked up. Prefixes that rules name are far
// apart: of 175,000 of them few pieces have more than five. So ranges stand side
// by side in a node, which is a cache line, and a piece is compared with all that
// begin there at once. A piece of more ranges has several nodes and some bits of
// it choose one, so that it costs a line, too; where that would take many lines
// for few ranges, as ranges are close together, nodes are a tree
// (DXR: Zec, Rizzo and Mikuc, CCR 2012, has ranges with a binary search; Level
// Compression: Nilsson and Karlsson, JSAC 1999).
//
// Answers of shorter prefixes are pushed down to where steps end when it is
// built, so a look-up never goes back. It takes at most 5 lines a piece.
//
// The outside of a table gets the first piece of IPv4 as an array. It takes 256 KiB,
// of which only those lines come into a cache that are asked for (BenchmarkOutside).
// Its steps all lead to a node, if only to one that gives the same answer
// throughout, so that nearly every address has two steps and none a jump.
type prefixes struct {
	nodes        []node
	root4, root6 step
	wide         *[1 << 16]step // by first piece of IPv4; nil: there is none
	blocks       []step         // see maxBlocks; nil: second pieces are nodes
}

// step is where to go on, or what the prefix means.
//
//	31      30    29..25    24..0
//	answer                        what the prefix means; 0: there is none
//	0       next  shift     node  the node, or the first of several: as many on as
//	                              the piece has left, shifted; next: that is the
//	                              next piece
type step uint32

const (
	answer   = step(1 << 31)
	next     = step(1 << 30)
	shiftAt  = 25
	nodeMask = step(1<<shiftAt - 1)
)

// MaxPrefixes bounds a table: each prefix has at most 8 pieces, and takes less
// than 2 nodes of each.
const MaxPrefixes = 1 << 21

// nodeRanges is how many ranges a node has.
const nodeRanges = 10

// node is a piece's ranges, or some of them. Where each begins, but for the first,
// is a key: three in a word, 21 bits each. Keys that there are none of are beyond
// every piece.
type node struct {
	keys  [3]uint64
	steps [nodeRanges]step
}

const (
	keyBits = 21
	each    = 1 | 1<<keyBits | 1<<(2*keyBits) // three keys of 1
	marks   = each << (keyBits - 1)
	noKey   = 1 << 17
)

// step returns the step of a piece. A mark stays where no key is subtracted that
// is greater; how many have stayed is the number of the range.
func (n *node) step(piece uint32) step {
	all := uint64(piece)*each | marks
	stayed := ((all-n.keys[0])&marks + (all-n.keys[1])&marks + (all-n.keys[2])&marks) >> (keyBits - 1)
	return n.steps[stayed*each>>(2*keyBits)&15]
}

// lookup returns the number of the longest prefix around a.
func (p *prefixes) lookup(a *packet.Addr) (uint32, bool) {
	if p == nil {
		return 0, false
	}
	s, at := p.begin(a)
	for s&answer == 0 {
		at += uint32(s / next)
		s = p.follow(s, pieceOf(a, at))
	}
	return uint32(s &^ answer), s != answer
}

// begin is the first step of a look-up, and the piece that it is of.
func (p *prefixes) begin(a *packet.Addr) (s step, at uint32) {
	switch {
	case !a.Is4():
		return p.root6, 0
	case p.wide != nil:
		s, _ = p.second(a)
		return s, 7
	}
	return p.root4, 6
}

// second takes the first two steps of an IPv4 address, where there is an array,
// and returns the last piece.
func (p *prefixes) second(a *packet.Addr) (s step, piece uint32) {
	both := binary.BigEndian.Uint32(a[12:])
	piece = both & 0xffff
	s = p.wide[both>>16]
	if p.blocks != nil {
		return p.blockStep(p.blockStep(s, piece>>8), piece&255), piece
	}
	return p.node(s, piece).step(piece), piece
}

// follow takes a step that is no answer, at a piece.
func (p *prefixes) follow(s step, piece uint32) step {
	return p.node(s, piece).step(piece)
}

func (p *prefixes) node(s step, piece uint32) *node {
	return &p.nodes[uint32(s&nodeMask)+piece>>(s>>shiftAt&31)]
}

// pieceOf is 16 bits of an address, which has 8 times as many.
func pieceOf(a *packet.Addr, at uint32) uint32 {
	return uint32(a[2*at&15])<<8 | uint32(a[(2*at&15)|1])
}
