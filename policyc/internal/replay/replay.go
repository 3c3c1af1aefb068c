// Package replay says what a policy would have done to flows.
//
// It decides as the list of rules says, not by the switch's tables: new ends
// come with every flow, and the list needs no linking. What it remembers to be
// fast (the sets of an address, the rules between two lists of sets) is
// bounded and forgotten when it is full, so that a record of any length is
// judged in the same memory. One goroutine.
package replay

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/flows"
	"bulkhead/policyc/internal/endpoints"
)

// Judge judges flows and counts.
type Judge struct {
	rs     *policy.Ruleset
	index  *policy.Index
	labels map[netip.Addr]*endpoints.Endpoint

	lists map[string]*ends      // by its sets
	addrs map[netip.Addr]*ends  // of addresses without labels of their own
	pairs map[[2]*ends][]uint32 // rules between two ends, in order
	kept  int                   // rules in pairs

	Allowed, Denied uint64
	ByRule          []uint64 // flows that a rule decided
	Default         uint64   // flows that none did
	Audits          []uint64 // flows that a rule under audit would have denied
	audits          bool     // a rule is
	top             top
}

// ends are those who are in the same sets.
type ends struct {
	sets []policy.SetID
	name string // of the sets; empty if they are in none
}

// maxKnown bounds each of what is remembered, and maxKept the rules between
// all pairs: rules for everybody are in the list of every pair.
const (
	maxKnown = 1 << 16
	maxKept  = 1 << 22
)

// New makes a judge of a policy. The list says whose an address is; one that
// it has not is of no workload.
func New(rs *policy.Ruleset, who []endpoints.Endpoint) *Judge {
	j := &Judge{rs: rs, index: policy.NewIndex(rs), labels: map[netip.Addr]*endpoints.Endpoint{}, ByRule: make([]uint64, len(rs.Rules)), Audits: make([]uint64, len(rs.Rules)),
		audits: slices.ContainsFunc(rs.Rules, func(r policy.Rule) bool { return r.Audit })}
	for i := range who {
		for _, a := range who[i].IPs {
			j.labels[a.Unmap()] = &who[i]
		}
	}
	j.forget()
	return j
}

func (j *Judge) forget() {
	j.lists, j.addrs, j.pairs = map[string]*ends{}, map[netip.Addr]*ends{}, map[[2]*ends][]uint32{}
	j.kept = 0
}

// Flow judges a flow.
func (j *Judge) Flow(f *flows.Flow) {
	if len(j.lists) > maxKnown || len(j.addrs) > maxKnown || len(j.pairs) > maxKnown || j.kept > maxKept {
		j.forget()
	}
	from, to := j.ends(f.Src, f.SrcLabels), j.ends(f.Dst, f.DstLabels)
	rule := j.decide(from, to, f)
	if j.audits {
		j.wouldDeny(from, to, f)
	}
	if rule != policy.NoRule {
		j.ByRule[rule] += f.Count
	} else {
		j.Default += f.Count
	}
	if j.allows(rule) {
		j.Allowed += f.Count
		return
	}
	j.Denied += f.Count
	j.top.add(denial{called(from, f.Src), called(to, f.Dst), f.Proto, f.Dport, rule}, f, from, to)
}

// called names an end for people.
func called(e *ends, a netip.Addr) string {
	if e.name == "" {
		return a.String()
	}
	return e.name
}

// ends returns who an address is: by the labels in the record, else by the
// list, else nobody's.
func (j *Judge) ends(a netip.Addr, labels map[string]string) *ends {
	if labels != nil {
		return j.of(append(j.index.ServicesOf(labels), j.index.NetworksOf(a)...))
	}
	if e, known := j.addrs[a]; known {
		return e
	}
	sets := j.index.OutsideOf(a)
	if who := j.labels[a]; who != nil {
		sets = append(j.index.ServicesOf(who.Labels), j.index.NetworksOf(a)...)
	}
	e := j.of(sets)
	j.addrs[a] = e
	return e
}

// of returns the ends of these sets.
func (j *Judge) of(sets []policy.SetID) *ends {
	slices.Sort(sets)
	sets = slices.Compact(sets)
	key := make([]byte, 0, 4*len(sets))
	for _, s := range sets {
		key = binary.LittleEndian.AppendUint32(key, uint32(s))
	}
	e, known := j.lists[string(key)]
	if !known {
		e = &ends{sets: sets, name: j.name(sets)}
		j.lists[string(key)] = e
	}
	return e
}

// name names sets: services where there are some, else networks.
func (j *Judge) name(sets []policy.SetID) string {
	var names [2][]string
	for _, s := range sets {
		switch set := &j.rs.Sets[s]; set.Kind {
		case policy.KindService:
			names[0] = append(names[0], set.Name)
		case policy.KindNetwork:
			names[1] = append(names[1], set.Name)
		}
	}
	if len(names[0]) > 0 {
		return strings.Join(names[0], "+")
	}
	return strings.Join(names[1], "+")
}

// decide returns the rule that decides, as policy.Ruleset.Decide does.
func (j *Judge) decide(from, to *ends, f *flows.Flow) policy.RuleID {
	rules := j.between(from, to)
	left := j.decideAt(policy.Egress, rules, f, false)
	if !j.allows(left) {
		return left
	}
	rule := j.decideAt(policy.Ingress, rules, f, false)
	if j.allows(rule) && j.rs.Rules[left].Stateless && !j.rs.Rules[rule].Stateless {
		return left
	}
	return rule
}

// wouldDeny counts a flow for the rule under audit that would have denied it.
func (j *Judge) wouldDeny(from, to *ends, f *flows.Flow) {
	rules := j.between(from, to)
	for _, end := range [2]policy.Direction{policy.Egress, policy.Ingress} {
		rule := j.decideAt(end, rules, f, true)
		if j.allows(rule) {
			continue
		}
		if rule != policy.NoRule && j.rs.Rules[rule].Audit {
			j.Audits[rule] += f.Count
		}
		return
	}
}

func (j *Judge) allows(rule policy.RuleID) bool {
	return rule != policy.NoRule && j.rs.Rules[rule].Verdict == policy.Allow
}

// decideAt reads the rules between two ends that speak at one of them, those
// under audit only if they are to be enforced, as policy.Ruleset.DecideAt does.
func (j *Judge) decideAt(end policy.Direction, rules []uint32, f *flows.Flow, enforced bool) policy.RuleID {
	left, passed := uint32(0), false // the tier that a pass has left
	for _, i := range rules {
		r := &j.rs.Rules[i]
		if passed && r.Tier == left || !r.Speaks(end, enforced) || !matches(r, f) {
			continue
		}
		if r.Verdict != policy.Pass {
			return policy.RuleID(i)
		}
		left, passed = r.Tier, true
	}
	return policy.NoRule
}

func matches(r *policy.Rule, f *flows.Flow) bool {
	return slices.ContainsFunc(r.Ports, func(p policy.Port) bool { return p.Matches(f.Proto, f.Sport, f.Dport) })
}

// between returns the rules that name both ends, in the order of decision.
func (j *Judge) between(from, to *ends) []uint32 {
	pair := [2]*ends{from, to}
	rules, known := j.pairs[pair]
	if known {
		return rules
	}
	has := func(named, sets []policy.SetID) bool {
		return slices.ContainsFunc(named, func(s policy.SetID) bool {
			_, found := slices.BinarySearch(sets, s)
			return found
		})
	}
	for i := range j.rs.Rules {
		if r := &j.rs.Rules[i]; has(r.From, from.sets) && has(r.To, to.sets) {
			rules = append(rules, uint32(i))
		}
	}
	j.pairs[pair], j.kept = rules, j.kept+len(rules)
	return rules
}

// Denial is a kind of connection that was denied.
type Denial struct {
	From, To string
	Port     policy.Port
	Count    uint64 // at least; exact where AtMost is the same
	AtMost   uint64 // there were more kinds than are kept
	By       *policy.Rule
	Near     string // the nearest rule that allows, where none decides
}

// Top returns the kinds that were denied most, at most n.
func (j *Judge) Top(n int) []Denial {
	var all []Denial
	for _, c := range j.top.most(n) {
		k := c.kind
		d := Denial{From: k.from, To: k.to, Count: c.count - c.over, AtMost: c.count, Port: portOf(k)}
		if k.rule != policy.NoRule {
			d.By = &j.rs.Rules[k.rule]
		} else if near, found := j.rs.Nearest(c.from.sets, c.to.sets, k.proto, c.sport, k.dport); found {
			d.Near = near.Describe(j.rs)
		}
		all = append(all, d)
	}
	return all
}

func portOf(k denial) policy.Port {
	p := policy.Port{Proto: uint16(k.proto), SrcHi: 65535, DstLo: k.dport, DstHi: k.dport}
	switch k.proto {
	case 1, 6, 17, 58, 132:
	default:
		p.DstLo, p.DstHi = 0, 65535
	}
	return p
}
