package policy

import (
	"cmp"
	"net/netip"
	"slices"
)

// Selects tells whether the labels meet one of the selector's alternatives.
func (s Selector) Selects(labels map[string]string) bool {
	return slices.ContainsFunc(s, func(r Requirements) bool { return r.Met(labels) })
}

// Met tells whether the labels meet every requirement; no requirement is met
// by nothing.
func (r Requirements) Met(labels map[string]string) bool {
	for _, one := range r {
		if !one.Met(labels) {
			return false
		}
	}
	return len(r) > 0
}

// Met tells whether the labels meet the requirement.
func (r Requirement) Met(labels map[string]string) bool {
	value, there := labels[r.Key]
	switch r.Op {
	case OpIn:
		return there && slices.Contains(r.Values, value)
	case OpNotIn:
		return !there || !slices.Contains(r.Values, value)
	case OpExists:
		return there
	case OpNotExists:
		return !there
	}
	return false
}

// Contains tells whether an address is in a network: in a prefix, and in no
// exception. The two families never meet.
func (s *Set) Contains(a netip.Addr) bool {
	if a.Is4In6() {
		return false
	}
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	return slices.ContainsFunc(s.Prefixes, in) && !slices.ContainsFunc(s.Except, in)
}

// ServicesOf returns the sets that labels belong to, sorted: Any and every
// service that selects them.
func (rs *Ruleset) ServicesOf(labels map[string]string) []SetID {
	sets := []SetID{Any}
	for i := range rs.Sets {
		if s := &rs.Sets[i]; s.Kind == KindService && s.Selector.Selects(labels) {
			sets = append(sets, SetID(i))
		}
	}
	return sets
}

// NetworksOf returns the sets that an address belongs to, sorted: Any and every
// network around it.
func (rs *Ruleset) NetworksOf(a netip.Addr) []SetID {
	sets := []SetID{Any}
	for i := range rs.Sets {
		if s := &rs.Sets[i]; s.Kind == KindNetwork && s.Contains(a) {
			sets = append(sets, SetID(i))
		}
	}
	return sets
}

// Atom is a prefix and the sets of every address in it that is in no longer
// atom.
type Atom struct {
	Prefix netip.Prefix
	Sets   []SetID
}

// Atoms returns the networks as a table for longest-prefix match: each prefix
// and exception once, short before long, with all the sets that hold there.
// Within an atom and outside the longer ones membership does not change, so
// its first address speaks for all; but where a longer atom begins at that
// very address, the networks are asked about the prefix itself.
func (rs *Ruleset) Atoms() []Atom {
	seen := map[netip.Prefix]bool{}
	var atoms []Atom
	for i := range rs.Sets {
		for _, list := range [2][]netip.Prefix{rs.Sets[i].Prefixes, rs.Sets[i].Except} {
			for _, p := range list {
				if !seen[p] {
					seen[p] = true
					atoms = append(atoms, Atom{Prefix: p, Sets: rs.around(p)})
				}
			}
		}
	}
	slices.SortFunc(atoms, func(a, b Atom) int {
		return cmp.Or(cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), a.Prefix.Addr().Compare(b.Prefix.Addr()))
	})
	return atoms
}

// around returns the sets that hold on all of a prefix but for longer ones.
func (rs *Ruleset) around(p netip.Prefix) []SetID {
	covers := func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }
	sets := []SetID{Any}
	for i := range rs.Sets {
		s := &rs.Sets[i]
		if s.Kind == KindNetwork && slices.ContainsFunc(s.Prefixes, covers) && !slices.ContainsFunc(s.Except, covers) {
			sets = append(sets, SetID(i))
		}
	}
	return sets
}

// Matches tells whether a port names a transport header. sport and dport are
// as in Port's comment.
func (p *Port) Matches(proto uint8, sport, dport uint16) bool {
	if p.Proto == AnyProto {
		return true
	}
	return p.Proto == uint16(proto) && p.SrcLo <= sport && sport <= p.SrcHi && p.DstLo <= dport && dport <= p.DstHi
}
