package classify

import (
	"slices"

	"bulkhead/dataplane/policy"
)

// stages cuts the rules that speak at one end, those under audit only if they
// are enforced, where a pass could leave a tier:
// behind each tier that has one. Within a stage the first rule that matches is
// the answer, so a table can have it ready; a pass asks the next stage. A policy
// without a pass is one stage; no policy has more stages than policy.Tiers.
//
// To work a pass out of the tables instead is no option: what a pass leaves to
// the rest of its tier is a difference of sets, which the four tables of a
// split engine, each without knowledge of the others, cannot take the least of.
func stages(rs *policy.Ruleset, end policy.Direction, enforced bool) [][]uint32 {
	out := [][]uint32{nil}
	passed := false // the last rule's tier has a pass
	for i := range rs.Rules {
		r := &rs.Rules[i]
		if !r.Speaks(end, enforced) {
			continue
		}
		last := len(out) - 1
		if passed && rs.Rules[out[last][len(out[last])-1]].Tier != r.Tier {
			out, last, passed = append(out, nil), last+1, false
		}
		out[last] = append(out[last], uint32(i))
		passed = passed || r.Verdict == policy.Pass
	}
	return out
}

// part is the ruleset of one stage: the sets are the same, the rules fewer.
func part(rs *policy.Ruleset, stage []uint32) *policy.Ruleset {
	if len(stage) == len(rs.Rules) {
		return rs
	}
	out := &policy.Ruleset{Sets: rs.Sets, Rules: make([]policy.Rule, 0, len(stage))}
	for _, i := range stage {
		out.Rules = append(out.Rules, rs.Rules[i])
	}
	return out
}

// linkStages links both ends. A stage that reads the same at both is one table,
// and where all are, an end is not asked twice.
func (l *Linker) linkStages(rs *policy.Ruleset, enforced bool, link func(stage []uint32) (*linking, error)) error {
	egress, ingress := stages(rs, policy.Egress, enforced), stages(rs, policy.Ingress, enforced)
	var err error
	if l.egress, err = linkEach(egress, link); err != nil {
		return err
	}
	if slices.EqualFunc(egress, ingress, slices.Equal[[]uint32]) {
		return nil
	}
	l.ingress, err = linkEach(ingress, func(stage []uint32) (*linking, error) {
		for i := range egress {
			if slices.Equal(egress[i], stage) {
				return l.egress[i], nil
			}
		}
		return link(stage)
	})
	return err
}

func linkEach(all [][]uint32, link func([]uint32) (*linking, error)) ([]*linking, error) {
	var out []*linking
	for _, stage := range all {
		t, err := link(stage)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
