package oracle

import (
	"fmt"
	"slices"

	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

// meanings are what a trial's policy says to its questions, by eval.
type meanings struct {
	*trial
	p      *check.Policy
	tables *worlds.Tables
	allow  map[probe]bool
	rule   map[probe]string
}

func (x *trial) meant() (*meanings, error) {
	about, err := x.about()
	if err != nil {
		return nil, err
	}
	rs, err := built(about.p)
	if err != nil {
		return nil, err
	}
	m := &meanings{trial: x, p: about.p}
	if m.tables, err = worlds.Link(rs, x.people); err != nil {
		return nil, err
	}
	m.allow, m.rule, x.allowed = map[probe]bool{}, map[probe]string{}, 0
	for _, q := range x.probes {
		if m.allow[q], m.rule[q] = about.decide(q); m.allow[q] {
			x.allowed++
		}
	}
	return m, nil
}

func (m *meanings) word(q probe) string {
	return fmt.Sprintf("%s by %q", map[bool]string{true: "allow", false: "deny"}[m.allow[q]], m.rule[q])
}

// about asks eval no more of the rules than those that name both ends: what does
// not match cannot matter, and of 70,000 rules it is all but a few. Who is in
// which set eval says, once.
type about struct {
	p        *check.Policy
	people   []check.Subject
	from, to [][]int32 // by person: the rules that name him on a side, ascending
	pairs    map[[2]int]*check.Policy
}

// about reads the statements, once.
func (x *trial) about() (*about, error) {
	if x.read == nil {
		p, problem := read(x.statements)
		if problem != "" {
			return nil, fmt.Errorf("it does not compile: %s", problem)
		}
		x.read = newAbout(p, x.people)
	}
	return x.read, nil
}

func newAbout(p *check.Policy, people []check.Subject) *about {
	a := &about{p: p, people: people, pairs: map[[2]int]*check.Policy{}}
	for _, s := range people {
		in := map[check.Set]bool{}
		names := func(sets []check.Set) bool {
			return slices.ContainsFunc(sets, func(set check.Set) bool {
				is, known := in[set]
				if !known {
					is = eval.In(set, s)
					in[set] = is
				}
				return is
			})
		}
		var from, to []int32
		for i, r := range p.Rules {
			if names(r.From) {
				from = append(from, int32(i))
			}
			if names(r.To) {
				to = append(to, int32(i))
			}
		}
		a.from, a.to = append(a.from, from), append(a.to, to)
	}
	return a
}

// both are the rules that name both ends of a question.
func (a *about) both(q probe) (rules []int32) {
	for _, i := range a.from[q.from] {
		if _, found := slices.BinarySearch(a.to[q.to], i); found {
			rules = append(rules, i)
		}
	}
	return rules
}

func (a *about) decide(q probe) (allow bool, rule string) {
	pair := [2]int{q.from, q.to}
	few := a.pairs[pair]
	if few == nil {
		copied := *a.p
		few = &copied
		few.Rules = nil
		for _, i := range a.both(q) {
			few.Rules = append(few.Rules, a.p.Rules[i])
		}
		a.pairs[pair] = few
	}
	allow, by := eval.Decide(few, a.people[q.from], a.people[q.to], q.flow)
	if by != nil {
		rule = by.Name
	}
	return allow, rule
}
