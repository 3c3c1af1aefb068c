package policy

import (
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

// NetworksOf returns the sets that an address belongs to whoever has it, sorted:
// Any and every network around it.
func (rs *Ruleset) NetworksOf(a netip.Addr) []SetID {
	sets := []SetID{Any}
	for i := range rs.Sets {
		if s := &rs.Sets[i]; s.Kind == KindNetwork && s.Contains(a) {
			sets = append(sets, SetID(i))
		}
	}
	return sets
}

// OutsideOf returns the sets that an address belongs to which no endpoint has,
// sorted: NetworksOf, and Outside.
func (rs *Ruleset) OutsideOf(a netip.Addr) []SetID {
	return rs.withOutside(rs.NetworksOf(a), a)
}

// Outside returns the set Outside, if a rule names it.
func (rs *Ruleset) Outside() (SetID, bool) {
	last := len(rs.Sets) - 1
	return SetID(max(last, 0)), last > 0 && rs.Sets[last].Kind == KindOutside
}

func (rs *Ruleset) withOutside(sets []SetID, a netip.Addr) []SetID {
	if id, named := rs.Outside(); named && CanBeOutside(a) {
		return append(sets, id)
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
