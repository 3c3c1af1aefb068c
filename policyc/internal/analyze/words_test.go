package analyze_test

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/lower"
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

// named tells whether a subject is in a set that the rules come down to.
func (r reader) named(s check.Subject) bool {
	for _, p := range []*check.Policy{r.old, r.new} {
		rs := lower.Policy(p, 0)
		for _, set := range rs.Sets[1:] {
			if s.Labels != nil && set.Selector.Selects(s.Labels) {
				return true
			}
		}
		if len(rs.NetworksOf(s.Addr)) > 1 || s.Labels == nil && len(rs.OutsideOf(s.Addr)) > 1 { // any is one of them
			return true
		}
	}
	return false
}
