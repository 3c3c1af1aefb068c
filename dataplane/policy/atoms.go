package policy

import (
	"cmp"
	"net/netip"
	"slices"

	"bulkhead/dataplane/identity"
)

// MaxPrefixes bounds the prefixes of networks, and their exceptions, that rules name,
// each counted once. A switch has room for a few more: for addresses at which all of a
// segment hear, of which each gateway has two.
const MaxPrefixes = identity.MaxPrefixes - 1<<16

// Atom is a prefix and the sets of every address in it that is in no longer
// atom, and that no endpoint has.
type Atom struct {
	Prefix netip.Prefix
	Sets   []SetID
}

// Atoms returns the networks as a table for longest-prefix match: each prefix
// and exception once, short before long, with all the sets that hold there.
// Within an atom and outside the longer ones membership does not change.
//
// Prefixes are nested or apart, so sorted by address and then length they are
// a tree in preorder: a stack of those around the one in hand is all it takes.
func (rs *Ruleset) Atoms() []Atom {
	var around []edge // from the outermost in
	var atoms []Atom
	for _, e := range rs.edges() {
		for len(around) > 0 && !around[len(around)-1].prefix.Contains(e.prefix.Addr()) {
			around = around[:len(around)-1]
		}
		if len(around) > 0 {
			outer := &around[len(around)-1]
			e.in, e.out = union(outer.in, e.in), union(outer.out, e.out)
		}
		around = append(around, e)
		atoms = append(atoms, Atom{Prefix: e.prefix, Sets: e.sets()})
	}
	slices.SortFunc(atoms, func(a, b Atom) int {
		return cmp.Or(cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), a.Prefix.Addr().Compare(b.Prefix.Addr()))
	})
	return atoms
}

// edge is a prefix where membership changes: the networks that begin there,
// and those that except it.
type edge struct {
	prefix  netip.Prefix
	in, out []SetID // ascending
}

// edges returns every prefix once, sorted by address, short before long.
func (rs *Ruleset) edges() []edge {
	at := map[netip.Prefix]int{}
	var out []edge
	find := func(p netip.Prefix) *edge {
		i, known := at[p]
		if !known {
			i = len(out)
			at[p] = i
			out = append(out, edge{prefix: p})
		}
		return &out[i]
	}
	for i := range rs.Sets {
		for _, p := range rs.Sets[i].Prefixes {
			e := find(p)
			e.in = append(e.in, SetID(i))
		}
		for _, p := range rs.Sets[i].Except {
			e := find(p)
			e.out = append(e.out, SetID(i))
		}
	}
	slices.SortFunc(out, func(a, b edge) int { return comparePrefix(a.prefix, b.prefix) })
	return out
}

// sets returns the sets that hold at an edge, Any first.
func (e *edge) sets() []SetID {
	sets := make([]SetID, 1, 1+len(e.in))
	sets[0] = Any
	for _, s := range e.in {
		if _, excepted := slices.BinarySearch(e.out, s); !excepted {
			sets = append(sets, s)
		}
	}
	return sets
}

// union returns what is in either of two ascending lists, ascending. It never
// changes them: an edge shares its lists with those inside.
func union(a, b []SetID) []SetID {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}
