// Package eval is what a policy means.
//
// It decides a connection by reading the checked source from top to bottom, in
// the plainest way there is. The compiler, the tables of the switch and every
// analysis are held to it by differential tests; where they differ, they are
// wrong.
//
//   - Nothing is allowed that no rule allows.
//   - A deny that matches beats every allow that does.
//   - A service is the endpoints that have all of its labels and meet all of
//     its conditions, whatever other labels they have; where it has
//     alternatives, also one of them. "Not in" and "not exists" are met by an
//     endpoint without the label. A group is the endpoints of any of its
//     services. An address outside is in no service.
//   - A network is the addresses in one of its cidrs and in none of its
//     exceptions, whoever holds them. IPv4 and IPv6 never meet.
//   - any is everybody.
//   - Replies are part of the connection that was allowed.
package eval

import (
	"net/netip"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// Flow is the transport of a connection: its protocol, and its destination
// port, or for ICMP type<<8|code.
type Flow struct {
	Proto uint8
	Dst   uint16
}

// Decide says whether from may connect to, and which rule says so; a nil rule
// is the default deny. Of several rules that say the same the first by name is
// named.
func Decide(p *check.Policy, from, to check.Subject, f Flow) (allow bool, by *check.Rule) {
	for _, r := range p.Rules {
		if !matches(r, from, to, f) {
			continue
		}
		switch {
		case by == nil, by.Allow && !r.Allow, by.Allow == r.Allow && r.Name < by.Name:
			by = r
		}
	}
	return by != nil && by.Allow, by
}

func matches(r *check.Rule, from, to check.Subject, f Flow) bool {
	return inAny(r.From, from) && inAny(r.To, to) && slices.ContainsFunc(r.Ports, func(port policy.Port) bool {
		return port.Proto == policy.AnyProto || port.Proto == uint16(f.Proto) && port.DstLo <= f.Dst && f.Dst <= port.DstHi
	})
}

func inAny(sets []check.Set, s check.Subject) bool {
	return slices.ContainsFunc(sets, func(set check.Set) bool { return In(set, s) })
}

// In tells whether a subject belongs to a set.
func In(set check.Set, s check.Subject) bool {
	switch {
	case set.Any:
		return true
	case set.Service != nil:
		return s.Labels != nil && selects(set.Service, s.Labels)
	default:
		return inNetwork(set.Network, s.Addr)
	}
}

// selects tells whether a service selects an endpoint by its labels. What asks
// for nothing selects nothing.
func selects(s *check.Service, labels map[string]string) bool {
	if len(s.Services) > 0 {
		return slices.ContainsFunc(s.Services, func(m *check.Service) bool { return selects(m, labels) })
	}
	if len(s.Any) > 0 {
		chosen := func(c check.Choice) bool { return len(c.Labels)+len(c.Match) > 0 && meets(labels, c.Labels, c.Match) }
		return meets(labels, s.Labels, s.Match) && slices.ContainsFunc(s.Any, chosen)
	}
	return len(s.Labels)+len(s.Match) > 0 && meets(labels, s.Labels, s.Match)
}

func meets(have, want map[string]string, match []policy.Requirement) bool {
	for key, value := range want {
		if got, found := have[key]; !found || got != value {
			return false
		}
	}
	for _, m := range match {
		value, found := have[m.Key]
		among := found && slices.Contains(m.Values, value)
		switch m.Op {
		case policy.OpIn:
			found = among
		case policy.OpNotIn:
			found = !among
		case policy.OpNotExists:
			found = !found
		}
		if !found {
			return false
		}
	}
	return true
}

func inNetwork(n *check.Network, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	contains := func(p netip.Prefix) bool { return p.Contains(a) }
	return slices.ContainsFunc(n.Prefixes, contains) && !slices.ContainsFunc(n.Except, contains)
}
