package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Near is an allow rule that does not match a connection, and what differs.
type Near struct {
	Rule   RuleID
	Source bool // its source differs
	Dest   bool // its destination differs
	Ports  bool // its ports differ
	End    bool // it speaks for the other end than the one that denies
	Time   bool // it is not valid now
	proto  uint8
	end    Direction
}

// How far a rule is from a connection: a side or a protocol that differs is
// farther than a port that does, and that than an end, or a time, that the rule
// does not speak for; and a rule that names the connection's services and ports is nearer
// than one that matches because it names any.
const (
	farSide  = 8
	farProto = 8
	farPort  = 6
	farEnd   = 5
	farTime  = 4
	farAny   = 1
)

// Nearest finds the allow rule that a connection which no rule decides comes
// nearest to, the first of equals; found is false if none has to do with it.
// It is for people: it reads every rule.
func (rs *Ruleset) Nearest(from, to []SetID, proto uint8, sport, dport uint16) (best Near, found bool) {
	least, end := 0, rs.denying(from, to, proto, sport, dport)
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if r.Verdict != Allow {
			continue
		}
		source, dest, ports := sideDistance(r.From, from), sideDistance(r.To, to), r.portDistance(proto, sport, dport)
		near := Near{RuleID(i), source == farSide, dest == farSide, ports >= farPort, !r.Direction.SpeaksAt(end), r.Dormant, proto, end}
		switch matches := !near.Source && !near.Dest && !near.Ports; {
		case matches && !near.End && !near.Time:
			continue // its tier was left
		case !matches && source > 0 && dest > 0 && (ports == farProto || ports == farAny):
			continue // what they share, any two connections do
		}
		d := source + dest + ports
		if near.End {
			d += farEnd
		}
		if near.Time {
			d += farTime
		}
		if !found || d < least {
			best, least, found = near, d, true
		}
	}
	return best, found
}

// denying is the end that denies a connection, the first of two.
func (rs *Ruleset) denying(from, to []SetID, proto uint8, sport, dport uint16) Direction {
	if _, verdict := rs.DecideAt(Egress, from, to, proto, sport, dport); verdict == Deny {
		return Egress
	}
	return Ingress
}

// Overruled finds the first allow rule that matches a connection, at the end
// where a deny rule decided it.
func (rs *Ruleset) Overruled(from, to []SetID, proto uint8, sport, dport uint16) (RuleID, bool) {
	end := rs.denying(from, to, proto, sport, dport)
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if r.Verdict == Allow && r.Speaks(end, false) && r.matches(from, to, proto, sport, dport) {
			return RuleID(i), true
		}
	}
	return NoRule, false
}

// Why says why a deny decides and not an allow that matches, too.
func (rs *Ruleset) Why(deny, allow RuleID) string {
	d, a := &rs.Rules[deny], &rs.Rules[allow]
	switch {
	case d.Tier != a.Tier:
		return d.Name + " is of an earlier tier"
	case d.Precedence != a.Precedence:
		return d.Name + " has an earlier priority"
	}
	return "a deny beats every allow"
}

func sideDistance(rule, has []SetID) int {
	far := farSide
	for _, s := range rule {
		switch {
		case s == Any:
			far = min(far, farAny)
		case slices.Contains(has, s):
			return 0
		}
	}
	return far
}

func (r *Rule) portDistance(proto uint8, sport, dport uint16) int {
	far := farProto
	for i := range r.Ports {
		switch p := &r.Ports[i]; {
		case p.Proto == AnyProto:
			far = min(far, farAny)
		case p.Matches(proto, sport, dport):
			return 0
		case p.Proto == uint16(proto):
			far = min(far, farPort)
		}
	}
	return far
}

// Describe says how the rule differs, as "web-to-db, if it used tcp/5432".
func (n Near) Describe(rs *Ruleset) string {
	r := &rs.Rules[n.Rule]
	var how []string
	if n.Source {
		how = append(how, "came from "+rs.names(r.From))
	}
	if n.Dest {
		how = append(how, "went to "+rs.names(r.To))
	}
	if n.Ports {
		how = append(how, "used "+portNames(r.Ports, n.proto))
	}
	if n.End {
		how = append(how, "spoke for "+n.end.String()+", too")
	}
	if n.Time {
		how = append(how, "was valid (it is "+r.Valid.String()+")")
	}
	return r.Name + ", if it " + enumerate(how, "and")
}

// shown bounds how many names a description has: it is a line.
const shown = 6

func (rs *Ruleset) names(sets []SetID) string {
	var names []string
	for _, s := range sets {
		names = append(names, rs.Sets[s].Name)
	}
	return enumerate(few(names), "or")
}

// portNames names the ports of a protocol, or all where none is of it.
func portNames(ports []Port, proto uint8) string {
	var names, all []string
	for _, p := range ports {
		all = append(all, p.String())
		if p.Proto == uint16(proto) {
			names = append(names, p.String())
		}
	}
	if names == nil {
		names = all
	}
	return enumerate(few(names), "or")
}

func few(names []string) []string {
	if len(names) > shown {
		return append(slices.Clip(names[:shown-1]), fmt.Sprintf("%d others", len(names)-shown+1))
	}
	return names
}

// enumerate joins names as "a, b or c".
func enumerate(names []string, last string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	n := len(names) - 1
	return strings.Join(names[:n], ", ") + " " + last + " " + names[n]
}
