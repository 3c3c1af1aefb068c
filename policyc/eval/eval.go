// Package eval is what a policy means.
//
// It decides a connection by reading the checked source from top to bottom, in
// the plainest way there is. The compiler, the tables of the switch and every
// analysis are held to it by differential tests; where they differ, they are
// wrong.
//
//   - Nothing is allowed that no rule allows.
//   - Both ends must allow a connection: where it leaves, by the rules that
//     speak for egress, and where it arrives, by those for ingress. A rule
//     without a direction speaks for both.
//   - An end asks the tiers in order: platform, security, application, baseline.
//     In a tier the matching rule of the least priority decides; at a tie a deny
//     beats an allow, and an allow a pass. A pass asks the next tier, and so
//     does a tier without a match and without a default.
//   - A rule of a scope speaks only for ends that it names by a service of the
//     scope; any stands there for every endpoint of the scope. A connection
//     between two scopes needs the consent of both.
//   - A service is the endpoints that have all of its labels and meet all of
//     its conditions, whatever other labels they have; where it has
//     alternatives, also one of them. "Not in" and "not exists" are met by an
//     endpoint without the label. A group is the endpoints of any of its
//     services. An address outside is in no service.
//   - A network is the addresses in one of its cidrs and in none of its
//     exceptions, whoever holds them. IPv4 and IPv6 never meet.
//   - A port by name is, at each service that a rule goes to, what that service
//     calls so; at a group what each of its services does.
//   - A rule with source ports matches what comes from one of them.
//   - any is everybody, host the endpoints that are hosts, outside every address
//     that no endpoint has.
//   - Replies are part of the connection that was allowed, unless the rule of
//     either end is stateless: then each packet is asked about by itself.
//   - A deny under audit decides nothing. It would have denied a connection if,
//     were every audit enforced, it would be the rule that decides.
//   - A rule speaks only while it is valid. A policy means what its view of a
//     time says ([check.Policy.At]); without one every rule speaks.
package eval

import (
	"cmp"
	"net/netip"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// Flow is the transport of a connection: its protocol, its destination port, or
// for ICMP type<<8|code, and its source port. What has no source port has 0.
type Flow struct {
	Proto uint8
	Dst   uint16
	Src   uint16
}

// Decide says whether from may connect to, and which rule says so; a nil rule
// is the default deny. Both ends must allow it, where the connection leaves and
// where it arrives; the rule is that of the end that denies, the first of two,
// else that of the end where it arrives, or where it leaves if that one alone is
// stateless.
func Decide(p *check.Policy, from, to check.Subject, f Flow) (allow bool, by *check.Rule) {
	allow, left := DecideAt(p, policy.Egress, from, to, f)
	if !allow {
		return allow, left
	}
	allow, by = DecideAt(p, policy.Ingress, from, to, f)
	if allow && left.Stateless && !by.Stateless {
		by = left
	}
	return allow, by
}

// DecideAt says what one end of the connection says: the first tier that does
// not pass.
func DecideAt(p *check.Policy, end policy.Direction, from, to check.Subject, f Flow) (allow bool, by *check.Rule) {
	return decideAt(p, end, from, to, f, false)
}

// WouldDeny is the rule under audit that would deny a connection if every audit
// were enforced; nil if none would.
func WouldDeny(p *check.Policy, from, to check.Subject, f Flow) *check.Rule {
	for _, end := range []policy.Direction{policy.Egress, policy.Ingress} {
		allow, by := decideAt(p, end, from, to, f, true)
		if !allow && by != nil && by.Audit {
			return by
		}
		if !allow {
			return nil
		}
	}
	return nil
}

func decideAt(p *check.Policy, end policy.Direction, from, to check.Subject, f Flow, enforced bool) (allow bool, by *check.Rule) {
	for tier, otherwise := range p.Defaults {
		by := First(p, uint32(tier), end, from, to, f, enforced)
		if by == nil {
			by = otherwise
		}
		if by != nil && !by.Pass {
			return by.Allow, by
		}
	}
	return false, nil
}

// First is the rule that decides in a tier, nil if none matches; rules under audit
// decide only if they are to be enforced.
func First(p *check.Policy, tier uint32, end policy.Direction, from, to check.Subject, f Flow, enforced bool) (by *check.Rule) {
	for _, r := range p.Rules {
		if r.Tier == tier && (enforced || !r.Audit) && Matches(r, end, from, to, f) && (by == nil || before(r, by)) {
			by = r
		}
	}
	return by
}

// before tells whether a rule decides before another of its tier. Of several
// that say the same the first by name is named.
func before(a, b *check.Rule) bool {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Verdict(), b.Verdict()), cmp.Compare(a.Name, b.Name)) < 0
}

// Matches tells whether a rule speaks at one end of a connection, and of it, at
// the time of the view that it is of.
func Matches(r *check.Rule, end policy.Direction, from, to check.Subject, f Flow) bool {
	if r.Dormant || !r.Direction.SpeaksAt(end) {
		return false
	}
	source, dest := r.From, r.To
	if end == policy.Egress {
		source = own(r.Scope, source)
	} else {
		dest = own(r.Scope, dest)
	}
	if !inAny(source, from) {
		return false
	}
	if inAny(dest, to) && on(r.Ports, f) {
		return true
	}
	return slices.ContainsFunc(r.Named, func(n check.NamedPorts) bool {
		return slices.Contains(dest, n.Via) && In(check.Set{Service: n.To}, to) && on(n.Ports, f)
	})
}

// on tells whether ports name a flow.
func on(ports []policy.Port, f Flow) bool {
	return slices.ContainsFunc(ports, func(port policy.Port) bool {
		return port.Proto == policy.AnyProto || port.Proto == uint16(f.Proto) && port.DstLo <= f.Dst && f.Dst <= port.DstHi && port.SrcLo <= f.Src && f.Src <= port.SrcHi
	})
}

// own is what a rule of a scope can speak for: the scope's services, and of any
// the scope.
func own(scope *check.Service, sets []check.Set) (out []check.Set) {
	for _, set := range sets {
		switch {
		case scope == nil, set.Service != nil && set.Service.Scope == scope:
			out = append(out, set)
		case set.Any:
			out = append(out, check.Set{Service: scope})
		}
	}
	return out
}

func inAny(sets []check.Set, s check.Subject) bool {
	return slices.ContainsFunc(sets, func(set check.Set) bool { return In(set, s) })
}

// In tells whether a subject belongs to a set.
func In(set check.Set, s check.Subject) bool {
	switch {
	case set.Any:
		return true
	case set.Outside:
		return s.Labels == nil && policy.CanBeOutside(s.Addr)
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
