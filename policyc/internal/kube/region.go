package kube

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
)

// hosts is one side of a rule: everybody, the Pods that meet all conditions, or
// the addresses of blocks.
type hosts struct {
	any  bool
	need []policy.Requirement
	in   []netip.Prefix // blocks, less those of out
	out  []netip.Prefix
}

func everybody() hosts { return hosts{any: true} }

// holds tells whether an address is in a block and in no exception.
func (h hosts) holds(a netip.Addr) bool {
	in := func(b netip.Prefix) bool { return b.Contains(a) }
	return slices.ContainsFunc(h.in, in) && !slices.ContainsFunc(h.out, in)
}

// pods are those that meet conditions; they are Pods, whatever else.
func pods(need ...policy.Requirement) hosts {
	return hosts{need: tidy(append(slices.Clone(need), isPod()))}
}

// tidy sorts conditions and takes out those that others imply.
func tidy(need []policy.Requirement) []policy.Requirement {
	need = slices.Clone(need)
	slices.SortFunc(need, func(a, b policy.Requirement) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Op, b.Op), slices.Compare(a.Values, b.Values))
	})
	need = slices.CompactFunc(need, func(a, b policy.Requirement) bool {
		return a.Key == b.Key && a.Op == b.Op && slices.Equal(a.Values, b.Values)
	})
	named := func(key string) bool {
		return slices.ContainsFunc(need, func(r policy.Requirement) bool { return r.Key == key && r.Op == policy.OpIn })
	}
	return slices.DeleteFunc(need, func(r policy.Requirement) bool { return r.Op == policy.OpExists && named(r.Key) })
}

// portRange is a stretch of the ports of a protocol, "" for all of every one;
// need is what the destination must meet besides: that a name means the number.
type portRange struct {
	proto  string
	lo, hi uint16
	need   []policy.Requirement
}

func everyPort() []portRange { return []portRange{{hi: 65535}} }

// word is the range as the language writes it.
func (p portRange) word() string {
	switch {
	case p.proto == "":
		return "any"
	case p.lo == 0 && p.hi == 65535:
		return p.proto
	case p.lo == p.hi:
		return fmt.Sprintf("%s/%d", p.proto, p.lo)
	}
	return fmt.Sprintf("%s/%d-%d", p.proto, p.lo, p.hi)
}

// clause is a rule of one direction: self is the end whose policy it is.
type clause struct {
	self    hosts
	peers   []hosts
	ports   []portRange
	verdict string // allow, deny, pass
	name    string
}

// meet is where two clauses both match. It can be said but for one thing: Pods
// that are in a block of addresses.
func meet(a, b clause) (clause, bool) {
	out := clause{name: a.name + " & " + b.name}
	selves, fine := meetHosts([]hosts{a.self}, []hosts{b.self})
	peers, fine2 := meetHosts(a.peers, b.peers)
	if !fine || !fine2 || len(selves) == 0 {
		return out, fine && fine2
	}
	out.self, out.peers = selves[0], peers
	for _, p := range a.ports {
		for _, q := range b.ports {
			if r, some := meetPorts(p, q); some {
				out.ports = append(out.ports, r)
			}
		}
	}
	return out, true
}

func (c clause) empty() bool { return len(c.peers) == 0 || len(c.ports) == 0 }

func meetPorts(p, q portRange) (portRange, bool) {
	if p.proto == "" {
		p.proto, p.lo, p.hi = q.proto, max(p.lo, q.lo), min(p.hi, q.hi)
	} else if q.proto != "" && p.proto != q.proto {
		return p, false
	}
	p.lo, p.hi, p.need = max(p.lo, q.lo), min(p.hi, q.hi), tidy(slices.Concat(p.need, q.need))
	return p, p.lo <= p.hi && possible(p.need)
}

func meetHosts(a, b []hosts) (out []hosts, fine bool) {
	for _, x := range a {
		for _, y := range b {
			switch {
			case x.any:
				out = append(out, y)
			case y.any:
				out = append(out, x)
			case (x.in == nil) != (y.in == nil):
				return nil, false
			case x.in == nil:
				if need := tidy(slices.Concat(x.need, y.need)); possible(need) {
					out = append(out, hosts{need: need})
				}
			default:
				if z := meetBlocks(x, y); len(z.in) > 0 {
					out = append(out, z)
				}
			}
		}
	}
	return out, true
}

// meetBlocks is the smaller of each two blocks that overlap. Policies that can
// tie have blocks without exceptions.
func meetBlocks(x, y hosts) (z hosts) {
	for _, p := range x.in {
		for _, q := range y.in {
			switch {
			case !p.Overlaps(q):
			case q.Bits() > p.Bits():
				z.in = append(z.in, q)
			default:
				z.in = append(z.in, p)
			}
		}
	}
	return z
}

// possible tells whether an endpoint could meet all conditions.
func possible(need []policy.Requirement) bool {
	_, fine := example(need)
	return fine
}

// example makes labels that meet all conditions; what a key is left to be is a
// value that no condition names.
func example(need []policy.Requirement) (map[string]string, bool) {
	out := map[string]string{}
	for i, r := range need {
		if i > 0 && need[i-1].Key == r.Key {
			continue
		}
		value, present, fine := exampleOf(slices.DeleteFunc(slices.Clone(need), func(q policy.Requirement) bool { return q.Key != r.Key }))
		if !fine {
			return nil, false
		}
		if present {
			out[r.Key] = value
		}
	}
	return out, true
}

// exampleOf answers for the conditions on one key.
func exampleOf(need []policy.Requirement) (value string, present, fine bool) {
	var candidates []string
	must, mustNot := false, false
	for _, r := range need {
		candidates = append(candidates, r.Values...)
		must = must || r.Op == policy.OpIn || r.Op == policy.OpExists
		mustNot = mustNot || r.Op == policy.OpNotExists
	}
	if !must {
		return "", false, true
	}
	for _, v := range append(sorted(candidates), "x"+strings.Join(candidates, "")) {
		meets := func(r policy.Requirement) bool {
			return r.Op == policy.OpExists || slices.Contains(r.Values, v) == (r.Op == policy.OpIn)
		}
		if !mustNot && !slices.ContainsFunc(need, func(r policy.Requirement) bool { return !meets(r) }) {
			return v, true, true
		}
	}
	return "", false, false
}

func sorted(values []string) []string {
	out := slices.Clone(values)
	slices.Sort(out)
	return slices.Compact(out)
}
