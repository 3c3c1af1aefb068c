package lower

import (
	"cmp"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// selector writes a service as alternatives. What the service asks for beside
// its alternatives is asked for in each; a group has the alternatives of its
// services. Both are sorted, each once: the order in the source says nothing.
func selector(s *check.Service) policy.Selector {
	var out policy.Selector
	for _, plain := range s.Plain() {
		own := check.Choice{Labels: plain.Labels, Match: plain.Match}
		if len(plain.Any) == 0 {
			out = append(out, requirements(own))
		}
		for _, choice := range plain.Any {
			out = append(out, requirements(own, choice))
		}
	}
	compare := func(a, b policy.Requirements) int { return slices.CompareFunc(a, b, compareRequirement) }
	slices.SortFunc(out, compare)
	return slices.CompactFunc(out, func(a, b policy.Requirements) bool { return compare(a, b) == 0 })
}

// requirements are all that several choices ask for.
func requirements(all ...check.Choice) policy.Requirements {
	var out policy.Requirements
	for _, c := range all {
		for key, value := range c.Labels {
			out = append(out, policy.Requirement{Key: key, Op: policy.OpIn, Values: []string{value}})
		}
		out = append(out, c.Match...)
	}
	slices.SortFunc(out, compareRequirement)
	return slices.CompactFunc(out, func(a, b policy.Requirement) bool { return compareRequirement(a, b) == 0 })
}

func compareRequirement(a, b policy.Requirement) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Op, b.Op), slices.Compare(a.Values, b.Values))
}
