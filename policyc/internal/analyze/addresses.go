package analyze

import (
	"fmt"
	"net/netip"
	"slices"

	"bulkhead/dataplane/policy"
)

// family is IPv4 or IPv6, and families a set of the two.
type family uint8

const (
	v4 family = iota
	v6
)

// families is a set of families: bit 0 IPv4, bit 1 IPv6.
type families uint8

const (
	only4 families = 1
	only6 families = 2
	both  families = 3
)

func (m families) has(f family) bool { return m>>f&1 != 0 }

// first is IPv4, if it is there.
func (m families) first() family {
	if m.has(v4) {
		return v4
	}
	return v6
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return v4
	}
	return v6
}

// addrAtom is a class of addresses: those in the same networks. It has a
// witness of each family that it can have, and another for the other end of a
// connection; where the class is one address, the two are the same.
type addrAtom struct {
	sets           []int32
	inside         bool          // on the link, where that is told apart: not outside, though nobody's
	witness, other [2]netip.Addr // by family; invalid: there is none
}

func (a *addrAtom) families() families {
	var m families
	for f := range a.witness {
		if a.witness[f].IsValid() {
			m |= 1 << f
		}
	}
	return m
}

// apart are the classes of addresses that are in as few networks as can be: in each
// family those in none, or where networks hold all there is, in no network that
// another address is not in, too.
func apart(addrs []addrAtom) []addrAtom {
	var out []addrAtom
	for _, a := range addrs {
		for f := range a.witness {
			fewer := func(b addrAtom) bool {
				return b.witness[f].IsValid() && b.inside == a.inside && len(b.sets) < len(a.sets) && len(union(b.sets, a.sets)) == len(a.sets)
			}
			if slices.ContainsFunc(addrs, fewer) {
				a.witness[f], a.other[f] = netip.Addr{}, netip.Addr{}
			}
		}
		if a.families() != 0 {
			out = append(out, a)
		}
	}
	return out
}

// plain are the witnesses of an address that is in no network, where they are:
// those of the documentation (RFC 5737, RFC 3849).
var plain = []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")}

// addrAtoms returns the classes of addresses. Membership changes only where a
// prefix begins and right behind its end: one address of each such stretch
// stands for all of it.
func addrAtoms(sets []policy.Set) []addrAtom {
	at := map[string]int{}
	outside := slices.ContainsFunc(sets, func(s policy.Set) bool { return s.Kind == policy.KindOutside })
	var out []addrAtom
	for _, a := range corners(sets) {
		in, inside := networksOf(sets, a), outside && !policy.CanBeOutside(a)
		key := fmt.Sprint(inside) + listKey(in)
		i, known := at[key]
		if !known {
			i = len(out)
			at[key] = i
			out = append(out, addrAtom{sets: in, inside: inside})
		}
		if f := familyOf(a); !out[i].witness[f].IsValid() {
			out[i].witness[f], out[i].other[f] = a, a
			if next := a.Next(); next.IsValid() && slices.Equal(networksOf(sets, next), in) && inside == (outside && !policy.CanBeOutside(next)) {
				out[i].other[f] = next
			}
		}
	}
	return out
}

// corners are the addresses where membership may change, in an order that has
// the better witnesses first: the address of a block itself is rarely a host's.
func corners(sets []policy.Set) []netip.Addr {
	out := slices.Clone(plain)
	var edges []netip.Addr
	for _, s := range sets {
		list := slices.Concat(s.Prefixes, s.Except)
		if s.Kind == policy.KindOutside {
			list = s.Except // what else it is, is who has the address
		}
		for _, p := range list {
			out = append(out, p.Addr().Next())
			edges = append(edges, p.Addr(), lastOf(p).Next())
		}
	}
	out = append(append(out, edges...), netip.IPv4Unspecified(), netip.IPv6Unspecified())
	return slices.DeleteFunc(out, func(a netip.Addr) bool { return !a.IsValid() || a.Is4In6() })
}

// networksOf are the networks that an address is in, whoever has it.
func networksOf(sets []policy.Set, a netip.Addr) []int32 {
	contains := func(p netip.Prefix) bool { return p.Contains(a) }
	var in []int32
	for i, s := range sets {
		if s.Kind == policy.KindNetwork && slices.ContainsFunc(s.Prefixes, contains) && !slices.ContainsFunc(s.Except, contains) {
			in = append(in, int32(i))
		}
	}
	return in
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
