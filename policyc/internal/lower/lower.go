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
	"path/filepath"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
)

// Policy lowers a checked policy.
func Policy(p *check.Policy, generation uint64) *policy.Ruleset {
	rs, _ := PolicyFrom(p, generation)
	return rs
}

// PolicyFrom is Policy, and says of each rule which file states it.
func PolicyFrom(p *check.Policy, generation uint64) (*policy.Ruleset, []*diag.Source) {
	l := &lowering{numbers: map[string]policy.SetID{}, files: map[*diag.Source]string{}}
	l.sets(p)
	rules := make([]policy.Rule, 0, len(p.Rules)+len(p.Defaults))
	files := make([]*diag.Source, 0, cap(rules))
	eachPlain(p, func(r *check.Rule) {
		rules, files = append(rules, l.rule(r)), append(files, r.At.Src)
	})
	order := make([]int32, len(rules)) // to sort numbers is cheaper than to sort rules
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return Compare(&rules[a], &rules[b]) })
	arrange(order, rules, files)
	l.rs.Rules, l.rs.Generation = rules, generation
	l.rs.SourceHash = Hash(&l.rs)
	return &l.rs, files
}

// arrange puts rules and their files in an order, in place, and forgets the order.
func arrange(order []int32, rules []policy.Rule, files []*diag.Source) {
	for i := range order {
		if order[i] < 0 {
			continue // it was moved with others
		}
		rule, file, at := rules[i], files[i], int32(i)
		for order[at] != int32(i) {
			from := order[at]
			rules[at], files[at] = rules[from], files[from]
			order[at], at = -1, from
		}
		rules[at], files[at], order[at] = rule, file, -1
	}
}

// Compare orders rules as they decide, and those of one rank by name.
func Compare(a, b *policy.Rule) int {
	return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Precedence, b.Precedence), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Direction, b.Direction), slices.Compare(a.To, b.To), slices.CompareFunc(a.Ports, b.Ports, policy.ComparePort))
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
	alone   [][]policy.SetID        // by number: the list of that set alone, which most sides are
	files   map[*diag.Source]string // as rules name them
}

// sets numbers what rules name; what none names is left out.
func (l *lowering) sets(p *check.Policy) {
	l.name(func(note func([]check.Set)) {
		eachPlain(p, func(r *check.Rule) {
			note(r.From)
			note(r.To)
		})
	})
}

// name numbers the sets that each notes.
func (l *lowering) name(each func(note func([]check.Set))) {
	used := map[check.Set]bool{}
	note := func(side []check.Set) {
		for _, s := range side {
			if !s.Any {
				used[s] = true
			}
		}
	}
	each(note)
	l.rs.Sets = append(make([]policy.Set, 0, 1+len(used)), policy.Set{Kind: policy.KindAny, Name: "any"})
	for s := range used {
		l.rs.Sets = append(l.rs.Sets, set(s))
	}
	slices.SortFunc(l.rs.Sets, func(a, b policy.Set) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	for i := range l.rs.Sets {
		l.numbers[l.rs.Sets[i].Name] = policy.SetID(i)
		l.alone = append(l.alone, []policy.SetID{policy.SetID(i)})
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
		File: l.file(r.At), Line: uint32(r.At.Line()),
	}
}

// file is the name of a place's file without its folder: a table is the same
// wherever it was built.
func (l *lowering) file(at diag.Span) string {
	name, known := l.files[at.Src]
	if !known {
		name = filepath.Base(at.File())
		l.files[at.Src] = name
	}
	return name
}

func (l *lowering) side(sets []check.Set) []policy.SetID {
	if len(sets) == 1 {
		return l.alone[l.numbers[sets[0].Name()]]
	}
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
	if apart(ports) {
		return ports // most are, and nobody changes them
	}
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

// apart tells whether ranges are in order with room between each and the next, so
// that there is nothing to join.
func apart(ports []policy.Port) bool {
	for i, p := range ports {
		if p.Proto == policy.AnyProto && len(ports) > 1 {
			return false
		}
		if i > 0 && (policy.ComparePort(ports[i-1], p) >= 0 || ports[i-1].Proto == p.Proto && uint32(p.DstLo) <= uint32(ports[i-1].DstHi)+1) {
			return false
		}
	}
	return true
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
