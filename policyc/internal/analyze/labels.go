package analyze

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
)

// MaxAtoms bounds the atoms of an analysis, and what is kept while they are
// looked for.
const MaxAtoms = 1 << 17

// labelAtom is a class of label sets: those that the same services select.
type labelAtom struct {
	sets   []int32           // the services, by number
	labels map[string]string // the witness; nil: no endpoint of ours
}

// clause is one alternative of a service's selector, by key.
type clause struct {
	set   int32
	conds map[string][]policy.Requirement
}

// clausesOf takes the selectors apart.
func clausesOf(sets []policy.Set) []clause {
	var out []clause
	for i, s := range sets {
		for _, all := range s.Selector {
			if len(all) == 0 {
				continue // selects nothing
			}
			c := clause{int32(i), map[string][]policy.Requirement{}}
			for _, r := range all {
				c.conds[r.Key] = append(c.conds[r.Key], r)
			}
			out = append(out, c)
		}
	}
	return out
}

// partial is what is left of the clauses when the labels up to some key are
// settled: two ways that leave the same clauses alive have the same future,
// and are one. That is what keeps this from trying every combination.
type partial struct {
	alive  []int32
	labels map[string]string
}

// labelAtoms walks the keys and settles one after the other: each of the values
// that a clause still alive names, another value, or no such label.
func labelAtoms(sets []policy.Set) ([]labelAtom, error) {
	clauses := clausesOf(sets)
	all := make([]int32, len(clauses))
	for i := range all {
		all[i] = int32(i)
	}
	states := []partial{{all, map[string]string{}}}
	var grown []growth
	for _, key := range keysOf(clauses) {
		next := settle(states, key, clauses)
		grown = append(grown, growth{key, len(next), len(states)})
		if states = next; len(states) > MaxAtoms {
			return nil, tooMany(grown, clauses, sets)
		}
	}
	return atomsOf(states, clauses), nil
}

// keysOf sorts the keys by the number of clauses that look at them, the most
// first: it settles much soon.
func keysOf(clauses []clause) []string {
	uses := map[string]int{}
	for _, c := range clauses {
		for key := range c.conds {
			uses[key]++
		}
	}
	return slices.SortedFunc(maps.Keys(uses), func(a, b string) int {
		return cmp.Or(cmp.Compare(uses[b], uses[a]), cmp.Compare(a, b))
	})
}

// settle goes on from each state with every choice for one key. The absent
// label comes first and a state that is known is kept: witnesses are small.
func settle(states []partial, key string, clauses []clause) []partial {
	known := map[string]bool{}
	var next []partial
	for _, s := range states {
		for _, choice := range choices(s, key, clauses) {
			if k := listKey(choice.alive); !known[k] {
				known[k] = true
				next = append(next, choice)
			}
			if len(next) > MaxAtoms {
				return next
			}
		}
	}
	return next
}

// choices are what one key can be for a state, and the clauses that live on.
func choices(s partial, key string, clauses []clause) []partial {
	var indifferent, caring []int32
	named := map[string][]int32{}
	for _, i := range s.alive {
		conds := clauses[i].conds[key]
		if len(conds) == 0 {
			indifferent = append(indifferent, i)
			continue
		}
		// A clause that asks for some of few values need be looked at for
		// those alone; a policy has thousands of them.
		if conds[0].Op == policy.OpIn && len(conds) == 1 {
			for _, v := range conds[0].Values {
				named[v] = append(named[v], i)
			}
			continue
		}
		caring = append(caring, i)
		for _, c := range conds {
			for _, v := range c.Values {
				if _, known := named[v]; !known {
					named[v] = nil
				}
			}
		}
	}
	pick := func(value string, present bool) partial {
		alive := union(indifferent, named[value])
		if !present {
			alive = indifferent
		}
		for _, i := range caring {
			if meets(clauses[i].conds[key], value, present) {
				alive = union(alive, []int32{i})
			}
		}
		labels := s.labels
		if present {
			labels = maps.Clone(labels)
			labels[key] = value
		}
		return partial{alive, labels}
	}
	out := []partial{pick("", false)}
	for _, v := range slices.Sorted(maps.Keys(named)) {
		out = append(out, pick(v, true))
	}
	return append(out, pick(another(named), true))
}

// another is a value that nobody names.
func another(named map[string][]int32) string {
	v := "other"
	for _, taken := named[v]; taken; _, taken = named[v] {
		v += "-"
	}
	return v
}

// meets tells whether a label meets all the conditions on its key.
func meets(conds []policy.Requirement, value string, present bool) bool {
	return !slices.ContainsFunc(conds, func(c policy.Requirement) bool {
		listed := present && slices.Contains(c.Values, value)
		switch c.Op {
		case policy.OpIn:
			return !listed
		case policy.OpNotIn:
			return listed
		case policy.OpExists:
			return !present
		}
		return present
	})
}

// atomsOf joins the states whose clauses are of the same services.
func atomsOf(states []partial, clauses []clause) []labelAtom {
	known := map[string]bool{}
	var out []labelAtom
	for _, s := range states {
		var sets []int32
		for _, i := range s.alive {
			sets = append(sets, clauses[i].set)
		}
		slices.Sort(sets)
		sets = slices.Compact(sets)
		if k := listKey(sets); !known[k] {
			known[k] = true
			out = append(out, labelAtom{sets, s.labels})
		}
	}
	return out
}

// growth is by how much a key multiplied the states.
type growth struct {
	key           string
	after, before int
}

// tooMany names the keys that multiplied most, and services that look at them.
func tooMany(grown []growth, clauses []clause, sets []policy.Set) error {
	slices.SortStableFunc(grown, func(a, b growth) int {
		return cmp.Compare(b.after*a.before, a.after*b.before)
	})
	var worst []string
	for _, g := range grown[:min(4, len(grown))] {
		var names []string
		for _, c := range clauses {
			if _, looks := c.conds[g.key]; looks && len(names) < 3 && !slices.Contains(names, sets[c.set].Name) {
				names = append(names, sets[c.set].Name)
			}
		}
		worst = append(worst, fmt.Sprintf("%s (services %s)", g.key, strings.Join(names, ", ")))
	}
	return fmt.Errorf("the labels that services select by combine to more than %d classes of endpoints; those that multiply most are %s: "+
		"give services that exclude each other one label with different values", MaxAtoms, strings.Join(worst, "; "))
}
