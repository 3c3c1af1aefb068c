package lower

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// halves writes a rule as rules without a scope: one where it speaks alike for
// both ends, else one for each end that it speaks for.
func halves(r *check.Rule) []*check.Rule {
	if r.Scope == nil {
		return []*check.Rule{r}
	}
	egress, ingress := *r, *r
	egress.Scope, egress.Direction, egress.From = nil, policy.Egress, within(r.Scope, r.From)
	ingress.Scope, ingress.Direction, ingress.To = nil, policy.Ingress, within(r.Scope, r.To)
	if r.Direction == policy.BothEnds && slices.Equal(egress.From, r.From) && slices.Equal(ingress.To, r.To) {
		egress.Direction = policy.BothEnds
		return []*check.Rule{&egress}
	}
	var out []*check.Rule
	if r.Direction.SpeaksAt(policy.Egress) && len(egress.From) > 0 {
		out = append(out, &egress)
	}
	if r.Direction.SpeaksAt(policy.Ingress) && len(ingress.To) > 0 {
		out = append(out, &ingress)
	}
	return out
}

// within leaves the sets of a scope; any becomes the scope, which is all that
// is left then: the others are in it.
func within(scope *check.Service, sets []check.Set) []check.Set {
	if slices.ContainsFunc(sets, func(s check.Set) bool { return s.Any }) {
		return []check.Set{{Service: scope}}
	}
	return slices.DeleteFunc(slices.Clone(sets), func(s check.Set) bool { return s.Service == nil || s.Service.Scope != scope })
}
