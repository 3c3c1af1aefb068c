package oracle

import (
	"fmt"
	"slices"

	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

// meanings are what a trial's policy says to its questions at a time, by eval.
type meanings struct {
	*trial
	about  *about
	tables *worlds.Tables
	said   map[probe]verdict
}

// verdict is what eval says to a question: the rule that decides, nil for the
// default deny, and the rule under audit that would have denied, if one would.
type verdict struct {
	allow     bool
	by, audit *check.Rule
}

func (v verdict) String() string {
	return fmt.Sprintf("%s by %q, %q would deny", map[bool]string{true: "allow", false: "deny"}[v.allow], nameOf(v.by), nameOf(v.audit))
}

// stateless tells whether what is allowed has no session.
func (v verdict) stateless() bool { return v.allow && v.by.Stateless }

func nameOf(r *check.Rule) string {
	if r == nil {
		return ""
	}
	return r.Name
}

// meant asks eval all questions at a time.
func (x *trial) meant(now int64) (*meanings, error) {
	if _, err := x.parsed(); err != nil {
		return nil, err
	}
	y := x.at(now)
	about, err := y.about()
	if err != nil {
		return nil, err
	}
	if x.rules == nil {
		if x.rules, err = built(x.source); err != nil {
			return nil, err
		}
	}
	m := &meanings{trial: y, about: about, said: map[probe]verdict{}}
	if m.tables, err = worlds.Link(x.rules.At(now), x.people); err != nil {
		return nil, err
	}
	for _, q := range x.probes {
		if m.said[q] = about.decide(q); m.said[q].allow {
			x.allowed++
		}
	}
	return m, nil
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

// parsed reads the statements, once.
func (x *trial) parsed() (*check.Policy, error) {
	if x.source == nil {
		p, problem := read(x.statements)
		if problem != "" {
			return nil, fmt.Errorf("it does not compile: %s", problem)
		}
		x.source = p
	}
	return x.source, nil
}

// about is the policy as it is now.
func (x *trial) about() (*about, error) {
	p, err := x.parsed()
	if err != nil {
		return nil, err
	}
	if x.read == nil {
		x.read = newAbout(p.At(x.now), x.people)
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

func (a *about) decide(q probe) (v verdict) {
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
	from, to := a.people[q.from], a.people[q.to]
	v.allow, v.by = eval.Decide(few, from, to, q.flow)
	v.audit = eval.WouldDeny(few, from, to, q.flow)
	return v
}
