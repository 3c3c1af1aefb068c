package worlds

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

// strangers have no labels, or values that no policy names.
var strangers = []map[string]string{{}, {"a": "7", "b": "1"}, {"a": "1", "b": "2", "c": "9", "z": "1"}, {"z": "9"}}

// People draws who asks: endpoints with labels at addresses, and addresses of
// nobody, some of them hosts, both where a block begins and ends and beside that. No two have one
// address; there are n, or as many as there are such addresses.
func (w *World) People(r *rand.Rand, n int) []check.Subject {
	var edges []netip.Addr
	for _, b := range w.blocks {
		p := netip.MustParsePrefix(b)
		last := Last(p)
		edges = append(edges, p.Addr().Prev(), p.Addr(), last, last.Next())
	}
	edges = slices.DeleteFunc(edges, func(a netip.Addr) bool { return !a.IsValid() || a.Is4In6() })
	slices.SortFunc(edges, netip.Addr.Compare)
	edges = slices.Compact(edges)
	r.Shuffle(len(edges), func(i, j int) { edges[i], edges[j] = edges[j], edges[i] })
	labels := slices.Concat(w.labels, hostLabels, strangers)
	var out []check.Subject
	for i, a := range edges[:min(n, len(edges))] {
		s := check.Subject{Addr: a}
		if i%3 != 0 {
			s.Labels = oneOf(r, labels)
		}
		out = append(out, s)
	}
	return out
}

// Flows are the edges of every range that the rules have, and one beside each,
// in its own protocol; and protocols that nothing may name. Each is there once.
func Flows(p *check.Policy) []eval.Flow {
	out := []eval.Flow{{Proto: 0}, {Proto: 1}, {Proto: 6}, {Proto: 17}, {Proto: 47}, {Proto: 51}, {Proto: 58, Dst: 0x8000}, {Proto: 132}, {Proto: 255, Dst: 65535}}
	seen := map[eval.Flow]bool{}
	for _, f := range out {
		seen[f] = true
	}
	for _, rule := range p.Rules {
		for _, q := range rule.AllPorts() {
			if q.Proto == policy.AnyProto {
				continue
			}
			for _, dst := range []uint16{q.DstLo - 1, q.DstLo, q.DstHi, q.DstHi + 1} { // 0 - 1 and 65535 + 1 are each other
				if f := (eval.Flow{Proto: uint8(q.Proto), Dst: dst}); !seen[f] {
					seen[f] = true
					out = append(out, f)
				}
			}
		}
	}
	return out
}
