package route

import (
	"encoding/binary"
	"math/bits"

	"bulkhead/dataplane/packet"
)

// Equal-cost multipath (RFC 2991): a route may have several next hops, and a flow
// keeps to one of them. Which one is decided by weights: each pair of flow and next
// hop has a number, drawn by a hash, and the flow goes by the next hop that works
// and has the highest (rendezvous hashing, Thaler and Ravishankar 1998, RFC 2991
// 4). If a next hop goes, only the flows that it had are given to others; if one
// comes, it takes its share and nothing moves between the rest. There is no table
// of flows, and none of buckets: the cost is a multiplication or two a next hop.

// MaxHops bounds the next hops of a route.
const MaxHops = 16

// group is the next hops of a route that has several.
type group struct {
	hops [MaxHops]packet.Addr
	salt [MaxHops]uint64
	n    int
}

// add adds a next hop; false if there is no room.
func (g *group) add(via packet.Addr) bool {
	if g.n == MaxHops {
		return false
	}
	// Of the address alone: a table that is built anew sends flows the same way.
	hi, lo := binary.BigEndian.Uint64(via[0:8]), binary.BigEndian.Uint64(via[8:16])
	g.hops[g.n], g.salt[g.n] = via, mix(mix(hi, 1), lo)
	g.n++
	return true
}

// Hops returns the number of next hops: at least one, unless the route is
// connected.
func (n *Next) Hops() int {
	switch {
	case n.group != nil:
		return n.group.n
	case n.Connected:
		return 0
	}
	return 1
}

// Hop returns next hop i.
func (n *Next) Hop(i int) *packet.Addr {
	if n.group != nil {
		return &n.group.hops[i]
	}
	return &n.Via
}

// Weight returns how much a flow, given as its hash, wants next hop i: it goes by
// the one that works and has the most.
func (n *Next) Weight(i int, hash uint64) uint64 {
	if n.group == nil {
		return 0
	}
	return mix(hash, n.group.salt[i])
}

// mix draws a number of two: two rounds of a multiplication that is folded.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^b^0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f)
	hi, lo = bits.Mul64(hi^lo^b, 0x165667b19e3779f9)
	return hi ^ lo
}
