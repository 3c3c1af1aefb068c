// Package relevant finds the rules of a policy that can have a say about
// somebody.
//
// Package eval reads all rules for each question. What cannot match cannot
// matter: asked of the rules alone whose sets hold both ends it answers the
// same, and a thousand tests of a policy of 100,000 rules cost what their own
// rules cost. Nothing is decided here; the tests hold eval on a part to eval on
// the whole.
//
//	subject ▸ its sets, by an index of labels and prefixes
//	        ▸ the rules that name one of them, or any, on that side
package relevant

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/lower"
)

// Index finds rules. It is immutable; any goroutine may ask it. Its policy must
// not change.
type Index struct {
	p        *check.Policy
	members  *policy.Index
	from, to [][]int32 // by set: the rules that name it on that side, ascending
}

// New indexes a checked policy, in time and memory that follow its size.
func New(p *check.Policy) *Index {
	sets := lower.Sets(p)
	x := &Index{p: p, members: policy.NewIndex(sets), from: make([][]int32, len(sets.Sets)), to: make([][]int32, len(sets.Sets))}
	numbers := map[string]int{}
	for i := range sets.Sets {
		numbers[sets.Sets[i].Name] = i
	}
	file := func(lists [][]int32, side []check.Set, rule int) {
		for _, set := range side {
			n := numbers[set.Name()]
			lists[n] = append(lists[n], int32(rule))
		}
	}
	for i, r := range p.Rules {
		file(x.from, r.From, i)
		file(x.to, r.To, i)
	}
	return x
}

// Between is the policy with those of its rules alone that name both ends. For
// a connection of the two it means the same.
func (x *Index) Between(from, to check.Subject) *check.Policy {
	leave, arrive := x.rules(x.from, from), x.rules(x.to, to)
	return x.only(slices.DeleteFunc(leave, func(i int32) bool {
		_, found := slices.BinarySearch(arrive, i)
		return !found
	}))
}

// From is the policy with those of its rules alone that somebody can be the
// source of.
func (x *Index) From(s check.Subject) *check.Policy { return x.only(x.rules(x.from, s)) }

// To is the policy with those of its rules alone that somebody can be the
// destination of.
func (x *Index) To(s check.Subject) *check.Policy { return x.only(x.rules(x.to, s)) }

// rules are those that name a subject on one side, ascending. A rule of a scope
// may mean fewer by any than everybody; never more.
func (x *Index) rules(lists [][]int32, s check.Subject) []int32 {
	var out []int32
	for _, set := range x.setsOf(s) {
		out = append(out, lists[set]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// setsOf are the sets that a subject is in. An address of no endpoint is in no
// service.
func (x *Index) setsOf(s check.Subject) []policy.SetID {
	if s.Labels == nil {
		return x.members.OutsideOf(s.Addr)
	}
	sets := append(x.members.NetworksOf(s.Addr), x.members.ServicesOf(s.Labels)...)
	slices.Sort(sets)
	return slices.Compact(sets)
}

// only is the policy with some of its rules.
func (x *Index) only(rules []int32) *check.Policy {
	p := *x.p
	p.Rules = make([]*check.Rule, 0, len(rules))
	for _, i := range rules {
		p.Rules = append(p.Rules, x.p.Rules[i])
	}
	return &p
}
