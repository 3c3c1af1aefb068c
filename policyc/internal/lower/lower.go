// Package lower turns a checked policy into what the switch reads: sets by
// number, rules in the order of decision, ports in ranges that do not overlap.
//
// The order of files and statements does not matter: sets are sorted by kind
// and name, rules by tier, priority, verdict (deny, allow, pass) and then name.
// The first match decides, and so at a tie a deny beats every allow. A tier's
// default is a rule for everything at the tier's end.
//
// A rule of a scope is cut in two where it does not say the same at both ends:
// for egress its sources are the scope's own, for ingress its destinations. One
// on ports by name is cut by what its destinations call so. All of them have the
// name of the rule.
//
// A pass stays a pass. To compile it away each later rule of its tier would have
// to be cut down to what the pass does not match, and the difference of two
// rules is no rule: it would take sets that no service names, up to three for
// each pass and rule. The switch needs no such thing: it cuts the list into
// stages behind each tier with a pass (package classify), at the price of one
// more look for each.
package lower

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// Policy lowers a checked policy.
func Policy(p *check.Policy, generation uint64) *policy.Ruleset {
	l := &lowering{numbers: map[string]policy.SetID{}}
	l.sets(p)
	for _, r := range slices.Concat(p.Rules, p.Defaults[:]) {
		if r == nil {
			continue
		}
		for _, half := range plain(r) {
			l.rs.Rules = append(l.rs.Rules, l.rule(half))
		}
	}
	slices.SortFunc(l.rs.Rules, func(a, b policy.Rule) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Precedence, b.Precedence), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Direction, b.Direction), slices.Compare(a.To, b.To), slices.CompareFunc(a.Ports, b.Ports, policy.ComparePort))
	})
	l.rs.Generation = generation
	l.rs.SourceHash = hash(&l.rs)
	return &l.rs
}

// Sets is a ruleset of the sets that a policy's rules name, as written, and of
// no rules: for who asks what somebody belongs to.
func Sets(p *check.Policy) *policy.Ruleset {
	l := &lowering{numbers: map[string]policy.SetID{}}
	l.name(func(note func([]check.Set)) {
		for _, r := range p.Rules {
			note(r.From)
			note(r.To)
		}
	})
	return &l.rs
}

type lowering struct {
	rs      policy.Ruleset
	numbers map[string]policy.SetID
}

// sets numbers what rules name; what none names is left out.
func (l *lowering) sets(p *check.Policy) {
	l.name(func(note func([]check.Set)) {
		for _, r := range p.Rules {
			for _, half := range plain(r) {
				note(half.From)
				note(half.To)
			}
		}
	})
}

// name numbers the sets that each notes.
func (l *lowering) name(each func(note func([]check.Set))) {
	used := map[string]check.Set{}
	note := func(side []check.Set) {
		for _, s := range side {
			if !s.Any {
				used[s.Name()] = s
			}
		}
	}
	each(note)
	l.rs.Sets = []policy.Set{{Kind: policy.KindAny, Name: "any"}}
	for _, s := range used {
		l.rs.Sets = append(l.rs.Sets, set(s))
	}
	slices.SortFunc(l.rs.Sets, func(a, b policy.Set) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	for i := range l.rs.Sets {
		l.numbers[l.rs.Sets[i].Name] = policy.SetID(i)
	}
}

// Set is a set as the switch has it.
func Set(s check.Set) *policy.Set {
	out := policy.Set{Kind: policy.KindAny, Name: s.Name()}
	if !s.Any {
		out = set(s)
	}
	return &out
}

func set(s check.Set) policy.Set {
	if s.Outside {
		return policy.Set{Kind: policy.KindOutside, Name: s.Name(), Prefixes: policy.Everywhere(), Except: policy.OnTheLink()}
	}
	if s.Network != nil {
		return policy.Set{Kind: policy.KindNetwork, Name: s.Network.Name, Prefixes: s.Network.Prefixes, Except: s.Network.Except}
	}
	return policy.Set{Kind: policy.KindService, Name: s.Service.Name, Selector: selector(s.Service)}
}

func (l *lowering) rule(r *check.Rule) policy.Rule {
	return policy.Rule{
		Name: r.Name, Verdict: r.Verdict(), Tier: r.Tier, Precedence: r.Priority, Direction: r.Direction,
		From: l.side(r.From), To: l.side(r.To), Ports: merge(r.Ports),
		Log: r.Log, Audit: r.Audit, Stateless: r.Stateless, Valid: r.Valid, Dormant: r.Dormant, Owner: r.Owner, Reason: r.Reason,
		File: filepath.Base(r.At.File()), Line: uint32(r.At.Line()),
	}
}

func (l *lowering) side(sets []check.Set) []policy.SetID {
	var out []policy.SetID
	for _, s := range sets {
		if s.Any {
			return []policy.SetID{policy.Any} // the others add nothing to everybody
		}
		out = append(out, l.numbers[s.Name()])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// merge joins ranges of one protocol, and of the same source ports, that touch or
// overlap, so that however a range was cut in the source it is the same here.
// Source ports were joined before they were multiplied (package check). ICMP's
// are joined only where one is in the other: that a type's last code and the next
// type's first are neighbours means nothing.
func merge(ports []policy.Port) []policy.Port {
	var out []policy.Port
	for _, p := range slices.SortedFunc(slices.Values(ports), bySource) {
		if p.Proto == policy.AnyProto {
			return []policy.Port{p}
		}
		if n := len(out); n > 0 && joined(out[n-1], p) {
			out[n-1].DstHi = max(out[n-1].DstHi, p.DstHi)
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, policy.ComparePort)
	return out
}

// bySource has ranges of one protocol and the same source ports together.
func bySource(a, b policy.Port) int {
	return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.SrcLo, b.SrcLo), cmp.Compare(a.SrcHi, b.SrcHi), policy.ComparePort(a, b))
}

// joined tells whether b, which begins no earlier, goes on where a is.
func joined(a, b policy.Port) bool {
	return a.Proto == b.Proto && a.SrcLo == b.SrcLo && a.SrcHi == b.SrcHi && uint32(b.DstLo) <= uint32(a.DstHi)+near(b.Proto)
}

// near is how far apart two ranges may begin and end and still be joined.
func near(proto uint16) uint32 {
	if proto == 1 || proto == 58 {
		return 0
	}
	return 1
}

// hash is the SHA-256 of what the rules say, not of where they say it.
func hash(rs *policy.Ruleset) [32]byte {
	h := sha256.New()
	for _, s := range rs.Sets {
		fmt.Fprintf(h, "%d %q %q %v %v\n", s.Kind, s.Name, s.Selector, s.Prefixes, s.Except)
	}
	for _, r := range rs.Rules {
		fmt.Fprintf(h, "%q %d %d %d %d %v %v %v\n", r.Name, r.Verdict, r.Tier, r.Precedence, r.Direction, r.From, r.To, r.Ports)
		if r.Log || r.Audit || r.Stateless || !r.Valid.Always() || r.Owner != "" || r.Reason != "" {
			fmt.Fprintf(h, "%t %t %t %d %d %q %q\n", r.Log, r.Audit, r.Stateless, r.Valid.From, r.Valid.Until, r.Owner, r.Reason)
		}
	}
	return [32]byte(h.Sum(nil))
}
