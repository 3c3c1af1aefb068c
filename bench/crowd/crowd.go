// Package crowd makes a policy large: around the few rules that a measurement's
// traffic meets it puts others that it does not.
package crowd

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"bulkhead/dataplane/policy"
)

// How the rules of a crowd are drawn.
const (
	rulesAService = 10  // on the average, as its source
	nearby        = 10  // one rule in so many has an end of the measurement at one side
	beside        = 100 // one in so many is between both, for other ports
)

// firstPort is the least port that a crowd's rules name between the ends of a
// measurement; its own rules name lower ones.
const firstPort = 20_000

// Around returns a ruleset of n rules: those of rs last, and before them others
// between services that nobody belongs to, or one of the two ends, or both on
// ports from 20,000. No decision about a lower port changes. The seed is fixed:
// the same n is the same policy.
func Around(rs *policy.Ruleset, n int, from, to policy.SetID) (*policy.Ruleset, error) {
	more := n - len(rs.Rules)
	if more < 0 {
		return nil, fmt.Errorf("%d rules are fewer than the %d of the measurement", n, len(rs.Rules))
	}
	first := policy.SetID(len(rs.Sets))
	out := &policy.Ruleset{Sets: slices.Clone(rs.Sets)}
	services := max(1, more/rulesAService)
	for i := range services {
		name := fmt.Sprintf("crowd-%06d", i)
		out.Sets = append(out.Sets, policy.Set{Kind: policy.KindService, Name: name,
			Selector: policy.Selector{{{Key: "crowd", Op: policy.OpIn, Values: []string{name}}}}})
	}
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range more {
		a, b := first+policy.SetID(r.IntN(services)), first+policy.SetID(r.IntN(services))
		switch {
		case i%beside == 0:
			a, b = from, to
		case i%nearby == 0 && i/nearby%2 == 0:
			a = from
		case i%nearby == 0:
			b = to
		}
		low := uint16(firstPort + r.IntN(10_000))
		out.Rules = append(out.Rules, policy.Rule{Name: fmt.Sprintf("crowd-%06d", i), Verdict: policy.Allow, From: []policy.SetID{a}, To: []policy.SetID{b},
			Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: low, DstHi: low + uint16(r.IntN(100))}}})
	}
	// Denies come before allows of one rank: the measurement's are all ranked
	// behind, in their order.
	for _, rule := range rs.Rules {
		rule.Precedence++
		out.Rules = append(out.Rules, rule)
	}
	return out, out.Validate()
}
