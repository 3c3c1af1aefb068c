// Package budget says what a policy costs the switch, and which rules make it
// cost that much.
//
// It links the policy as the switch would, to the identities that the policy
// alone tells apart and those of a list, and measures the very tables. Whom
// to blame is measured as well: the rules that reach furthest are taken away,
// one by one and then together, and the rest is linked again. So a name in a
// refusal is a fact and not a guess; that none of the others matters more is
// likely, but not proved: to link without each of 100,000 rules would take a
// day.
//
// It is pure; one goroutine.
package budget

import (
	"cmp"
	"slices"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/policy"
)

// Cost is what a policy costs.
type Cost struct {
	classify.Stats
	Tables []classify.Table
}

// Measure links a policy to identities and measures it.
func Measure(rs *policy.Ruleset, identities [][]uint32) (*Cost, error) {
	e, err := classify.Link(rs, identities)
	if err != nil {
		return nil, err
	}
	return &Cost{Stats: e.Stats(), Tables: e.Tables()}, nil
}

// Limit is what a policy may cost; 0 is no limit.
type Limit struct{ Touches, Bytes int }

// Holds tells whether a cost is within the limit.
func (l Limit) Holds(c *Cost) bool {
	return (l.Touches == 0 || c.Touches <= l.Touches) && (l.Bytes == 0 || c.Bytes <= l.Bytes)
}

// Blamed is a rule, and what a policy costs without it and without those that
// were blamed before it.
type Blamed struct {
	Rule    *policy.Rule
	Without *Cost
}

// suspects is how many rules are taken away, at the most.
const suspects = 8

// Blame returns rules without which a policy would cost less, those first that
// save most, up to where the limit holds. fits is false if it never does.
func (l Limit) Blame(rs *policy.Ruleset, identities [][]uint32) (blamed []Blamed, fits bool, err error) {
	order, err := ranked(rs, identities)
	if err != nil {
		return nil, false, err
	}
	gone := map[int]bool{}
	for _, rule := range order {
		gone[rule] = true
		cost, err := Measure(without(rs, gone), identities)
		if err != nil {
			return nil, false, err
		}
		blamed = append(blamed, Blamed{&rs.Rules[rule], cost})
		if l.Holds(cost) {
			return blamed, true, nil
		}
	}
	return blamed, false, nil
}

// ranked returns the suspects, by what is left without each alone.
func ranked(rs *policy.Ruleset, identities [][]uint32) ([]int, error) {
	type left struct {
		rule int
		cost *Cost
	}
	var all []left
	for _, rule := range farthest(rs, identities) {
		cost, err := Measure(without(rs, map[int]bool{rule: true}), identities)
		if err != nil {
			return nil, err
		}
		all = append(all, left{rule, cost})
	}
	slices.SortStableFunc(all, func(a, b left) int {
		return cmp.Or(cmp.Compare(a.cost.Touches, b.cost.Touches), cmp.Compare(a.cost.Bytes, b.cost.Bytes))
	})
	var order []int
	for _, l := range all {
		order = append(order, l.rule)
	}
	return order, nil
}

// farthest returns the rules that name the most pairs of identities, times the
// ranges of ports that they tell apart.
func farthest(rs *policy.Ruleset, identities [][]uint32) []int {
	members := make([]int, len(rs.Sets))
	for _, sets := range identities {
		for _, s := range sets {
			members[s]++
		}
	}
	reach := func(i int) int {
		r := &rs.Rules[i]
		return total(r.From, members) * total(r.To, members) * len(r.Ports)
	}
	order := make([]int, len(rs.Rules))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(reach(b), reach(a)) })
	return order[:min(suspects, len(order))]
}

func total(sets []policy.SetID, members []int) int {
	n := 0
	for _, s := range sets {
		n += members[s]
	}
	return n
}

// without returns a policy without some of its rules.
func without(rs *policy.Ruleset, gone map[int]bool) *policy.Ruleset {
	out := *rs
	out.Rules = make([]policy.Rule, 0, len(rs.Rules))
	for i := range rs.Rules {
		if !gone[i] {
			out.Rules = append(out.Rules, rs.Rules[i])
		}
	}
	return &out
}
