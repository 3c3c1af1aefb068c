package analyze_test

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

// reader reads back the words that an analysis prints, as a person would: so
// that what is printed is held to what is meant, not what was computed.
type reader struct{ old, new *check.Policy }

// in tells whether a subject is in one of some terms.
func (r reader) in(terms []string, s check.Subject) bool {
	return slices.ContainsFunc(terms, func(term string) bool {
		if but, is := strings.CutPrefix(term, "any but "); is {
			return !r.in(strings.Split(but, ", "), s)
		}
		return r.term(term, s)
	})
}

func (r reader) term(term string, s check.Subject) bool {
	if term == "others" {
		return !r.named(s)
	}
	for _, part := range strings.Split(term, " & ") {
		name, not := strings.CutPrefix(part, "!")
		if eval.In(r.set(name), s) == not {
			return false
		}
	}
	return true
}

func (r reader) set(name string) check.Set {
	base, isOld := strings.CutSuffix(name, " (old)")
	base, isNew := strings.CutSuffix(base, " (new)")
	set, inOld := r.old.Lookup(base)
	if other, inNew := r.new.Lookup(base); isNew || !isOld && !inOld && inNew {
		set = other
	} else if !inOld {
		panic(fmt.Sprintf("no set is called %q", name))
	}
	return set
}

// named tells whether a subject is in a set that a rule names.
func (r reader) named(s check.Subject) bool {
	for _, p := range []*check.Policy{r.old, r.new} {
		for _, rule := range p.Rules {
			for _, set := range slices.Concat(rule.From, rule.To) {
				if !set.Any && eval.In(set, s) {
					return true
				}
			}
		}
	}
	return false
}
