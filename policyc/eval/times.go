package eval

import (
	"slices"

	"bulkhead/policyc/internal/check"
)

// Times returns a second of each stretch of time in which a policy says the
// same of two ends, whatever the port: 0, and wherever a rule that names both
// begins or ceases to speak.
func Times(p *check.Policy, from, to check.Subject) []int64 {
	out := []int64{0}
	for _, r := range p.Rules {
		if r.Valid.Always() || !inAny(r.From, from) || !inAny(r.To, to) {
			continue
		}
		for _, at := range []int64{r.Valid.From, r.Valid.Until} {
			if at != 0 {
				out = append(out, at)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
