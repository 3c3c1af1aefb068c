package analyze

import (
	"net/netip"
	"slices"

	"bulkhead/dataplane/policy"
)

// overlap tells whether somebody may be in both of two sets. It may say so where
// nobody can, never the other way: what it says no to cannot meet.
func overlapping(a, b *policy.Set) bool {
	if a.Kind != b.Kind || a.Kind == policy.KindOutside {
		return true // an endpoint of any labels may have any address, and outside is every one
	}
	if a.Kind == policy.KindNetwork {
		return slices.ContainsFunc(a.Prefixes, func(p netip.Prefix) bool { return slices.ContainsFunc(b.Prefixes, p.Overlaps) })
	}
	return slices.ContainsFunc(a.Selector, func(x policy.Requirements) bool {
		return slices.ContainsFunc(b.Selector, func(y policy.Requirements) bool { return !exclude(x, y) })
	})
}

// exclude tells whether two alternatives want a label to be two things at once.
func exclude(a, b policy.Requirements) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Key == y.Key && (against(x, y) || against(y, x)) {
				return true
			}
		}
	}
	return false
}

// against tells whether no value, nor its absence, meets two conditions on a
// label; asked both ways round.
func against(x, y policy.Requirement) bool {
	switch {
	case x.Op == policy.OpIn && y.Op == policy.OpIn:
		return !slices.ContainsFunc(x.Values, func(v string) bool { return slices.Contains(y.Values, v) })
	case x.Op == policy.OpIn && y.Op == policy.OpNotIn:
		return !slices.ContainsFunc(x.Values, func(v string) bool { return !slices.Contains(y.Values, v) })
	}
	return y.Op == policy.OpNotExists && (x.Op == policy.OpIn || x.Op == policy.OpExists)
}

// portsOverlap tells whether a packet may be on both of two lists of ports.
func portsOverlap(a, b []policy.Port) bool {
	return slices.ContainsFunc(a, func(p policy.Port) bool {
		return slices.ContainsFunc(b, func(q policy.Port) bool {
			return p.Proto == policy.AnyProto || q.Proto == policy.AnyProto || p.Proto == q.Proto && p.DstLo <= q.DstHi && q.DstLo <= p.DstHi && p.SrcLo <= q.SrcHi && q.SrcLo <= p.SrcHi
		})
	})
}
