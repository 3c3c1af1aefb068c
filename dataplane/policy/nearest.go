package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Near is an allow rule that did not match, and why.
type Near struct {
	Rule   RuleID
	Source bool // its source differs
	Dest   bool // its destination differs
	Proto  bool // its protocol differs
	Port   bool // its port differs
	ports  string
}

// Nearest finds the allow rule that differs in the fewest fields from a
// connection, the first of equals; found is false without one that shares at
// least a field. It is for people: it reads every rule.
func (rs *Ruleset) Nearest(from, to []SetID, proto uint8, sport, dport uint16) (Near, bool) {
	best, least := Near{}, 4
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if r.Verdict != Allow {
			continue
		}
		n := Near{Rule: RuleID(i), Source: !meets(r.From, from), Dest: !meets(r.To, to)}
		n.Proto, n.Port, n.ports = r.portsDiffer(proto, sport, dport)
		if d := count(n.Source, n.Dest, n.Proto, n.Port); d > 0 && d < least {
			best, least = n, d
		}
	}
	return best, least < 4
}

func count(differ ...bool) (n int) {
	for _, d := range differ {
		if d {
			n++
		}
	}
	return n
}

func meets(a, b []SetID) bool {
	return slices.ContainsFunc(a, func(s SetID) bool { return slices.Contains(b, s) })
}

// portsDiffer tells whether no port of the rule is of the protocol, or none
// with the protocol has the port; and names the ports it has.
func (r *Rule) portsDiffer(proto uint8, sport, dport uint16) (protocol, port bool, names string) {
	protocol, port = true, true
	var has []string
	for i := range r.Ports {
		p := &r.Ports[i]
		if p.Matches(proto, sport, dport) {
			return false, false, ""
		}
		if p.Proto == uint16(proto) {
			protocol = false
		}
		has = append(has, p.String())
	}
	return protocol, !protocol, strings.Join(has, ", ")
}

// String writes a port as the policy language does.
func (p Port) String() string {
	name := fmt.Sprintf("ip/%d", p.Proto)
	switch p.Proto {
	case AnyProto:
		return "any"
	case 6:
		name = "tcp"
	case 17:
		name = "udp"
	case 132:
		name = "sctp"
	case 1, 58:
		return p.icmpString()
	}
	switch {
	case p.DstLo == 0 && p.DstHi == 65535:
		return name
	case p.DstLo == p.DstHi:
		return fmt.Sprintf("%s/%d", name, p.DstLo)
	}
	return fmt.Sprintf("%s/%d-%d", name, p.DstLo, p.DstHi)
}

func (p Port) icmpString() string {
	name := "icmp"
	if p.Proto == 58 {
		name = "icmpv6"
	}
	if p.DstLo == 0 && p.DstHi == 65535 {
		return name
	}
	return fmt.Sprintf("%s/%d", name, p.DstLo>>8)
}

// Describe says how the rule differs, as "web-to-db (port: tcp/5432)".
func (n Near) Describe(rs *Ruleset) string {
	var how []string
	add := func(differs bool, what string) {
		if differs {
			how = append(how, what)
		}
	}
	r := &rs.Rules[n.Rule]
	add(n.Source, "from "+rs.names(r.From))
	add(n.Dest, "to "+rs.names(r.To))
	add(n.Proto, "protocol: "+n.ports)
	add(n.Port, "port: "+n.ports)
	return fmt.Sprintf("%s (%s)", r.Name, strings.Join(how, "; "))
}

func (rs *Ruleset) names(sets []SetID) string {
	var names []string
	for _, s := range sets {
		names = append(names, rs.Sets[s].Name)
	}
	return strings.Join(names, ", ")
}
