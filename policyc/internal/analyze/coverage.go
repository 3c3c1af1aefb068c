package analyze

import (
	"maps"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/relevant"
)

// Coverage is what a policy's tests ask of it.
type Coverage struct {
	Rules   []RuleCoverage // in the order of the source
	Default int            // tests that ask what no rule decides
}

// RuleCoverage is a rule and how many tests it decides a part of.
type RuleCoverage struct {
	Rule  *check.Rule
	Tests int
}

// Covered counts the rules that at least one test exercises.
func (c *Coverage) Covered() int {
	n := 0
	for _, r := range c.Rules {
		if r.Tests > 0 {
			n++
		}
	}
	return n
}

// Percent is the share of rules that are exercised, rounded down; a policy
// without rules has none that is not.
func (c *Coverage) Percent() int {
	if len(c.Rules) == 0 {
		return 100
	}
	return 100 * c.Covered() / len(c.Rules)
}

// Cover finds which rules decide what the policy's tests ask. A rule that
// matches and is beaten is not exercised: a test that would pass without it
// proves nothing about it. A rule under audit decides nothing, and is not asked
// for. times are when a test asks, in seconds since 1970. Each test has a space of
// its own, of the rules that name both of its ends: the whole policy's may be too
// large to be cut.
func Cover(p *check.Policy, times func(*check.Test) []int64) (*Coverage, error) {
	out := &Coverage{}
	decided := make([]map[string]bool, len(p.Tests))
	asked := map[int64][]int{} // by time: the tests that ask of it
	for i, t := range p.Tests {
		decided[i] = map[string]bool{}
		for _, now := range times(t) {
			asked[now] = append(asked[now], i)
		}
	}
	for _, now := range slices.Sorted(maps.Keys(asked)) {
		if err := exercisedAt(p.At(now), asked[now], decided); err != nil {
			return nil, err
		}
	}
	tests := map[string]int{} // by name: a view of one time has rules of its own
	for _, names := range decided {
		byDefault := false
		for name, written := range names {
			tests[name]++
			byDefault = byDefault || !written
		}
		if byDefault {
			out.Default++
		}
	}
	for _, r := range p.Rules {
		if !r.Audit {
			out.Rules = append(out.Rules, RuleCoverage{r, tests[r.Name]})
		}
	}
	return out, nil
}

// exercisedAt notes, by name, the rules that decide a part of each of some tests
// in the view of a time, and of each whether the source states it. One time's
// index is gone before the next one's is made.
func exercisedAt(p *check.Policy, tests []int, decided []map[string]bool) error {
	rules := relevant.New(p)
	for _, i := range tests {
		t := p.Tests[i]
		s, err := New(rules.Between(t.From, t.To))
		if err != nil {
			return err
		}
		for r := range s.exercised(t) {
			decided[i][name(r)] = written(p, r)
		}
	}
	return nil
}

// exercised are the rules that decide a part of a test; nil is the default. What
// is allowed is decided at both ends: without the rule of either it would not be.
func (s *Space) exercised(t *check.Test) map[*check.Rule]bool {
	from, to := s.know(t.From), s.know(t.To)
	m := from.families & to.families
	out := map[*check.Rule]bool{}
	for _, p := range s.cellOf(from, to).pieces {
		for _, span := range s.asked(p.Span, t.Ports) {
			if span.families()&m == 0 {
				continue
			}
			out[p.by[0]] = true
			if p.allow[0] {
				_, leaves := eval.DecideAt(s.policies[0], policy.Egress, t.From, t.To, s.flow(span))
				out[leaves] = true
			}
		}
	}
	return out
}

// written tells whether a policy's source states a rule. eval may name one that
// it does not: what is said where no rule matches.
func written(p *check.Policy, r *check.Rule) bool {
	return r != nil && !slices.Contains(p.Defaults[:], r)
}
