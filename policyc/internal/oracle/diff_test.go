package oracle

import (
	"fmt"
	"slices"
	"testing"

	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

// diff is empty exactly where policies mean the same, and the way back is the
// way there, turned: each finding's witness is a connection that eval decides as
// the finding says, and where there is no finding no question is answered
// differently.
func TestDiffIsEmptyIffNothingDiffers(t *testing.T) {
	differing := 0
	for _, seed := range seeds(t, max(100, scale(100, 2000))) {
		x := newTrial(t, seed, worlds.Small, 14, 400)
		x.hold(t, func(x *trial) string {
			n := seed % 2
			y := x.saying(slices.DeleteFunc(slices.Clone(x.statements), func(s worlds.Statement) bool {
				if s.Rule {
					n++
				}
				return s.Rule && n%2 == 0 // every other rule
			}))
			before, err := x.about()
			if err != nil {
				return err.Error()
			}
			after, err := y.about()
			if err != nil {
				return err.Error()
			}
			there, err := analyze.Diff(before.p, after.p)
			if err != nil {
				return err.Error()
			}
			back, err := analyze.Diff(after.p, before.p)
			if err != nil {
				return err.Error()
			}
			if problem := turned(there, back); problem != "" {
				return problem
			}
			if problem := witnessed(there, before.p, after.p); problem != "" {
				return problem
			}
			if problem := witnessed(back, after.p, before.p); problem != "" {
				return "the way back: " + problem
			}
			if !there.Empty() {
				differing++
				return ""
			}
			return equal(x, before, after)
		})
	}
	t.Logf("%d of the pairs differ", differing)
	if differing == 0 && len(seeds(t, 2)) > 1 {
		t.Error("no pair differs: it proves nothing")
	}
}

// turned tells whether what one diff finds allowed the other finds denied. How
// the cells are put together may differ, not whether there are any.
func turned(there, back *analyze.Difference) string {
	some := func(d *analyze.Difference) [3]bool {
		return [3]bool{len(d.Allowed) > 0, len(d.Denied) > 0, len(d.Sessions) > 0}
	}
	one, two := some(there), some(back)
	if two[0], two[1] = two[1], two[0]; one != two {
		return fmt.Sprintf("there some are allowed, denied, of another kind: %v; back, turned: %v", one, two)
	}
	return ""
}

// witnessed asks eval about the witness of each finding.
func witnessed(d *analyze.Difference, before, after *check.Policy) string {
	for i, c := range slices.Concat(d.Allowed, d.Denied) {
		was, _ := eval.Decide(before, c.Witness.From, c.Witness.To, c.Witness.Flow)
		is, _ := eval.Decide(after, c.Witness.From, c.Witness.To, c.Witness.Flow)
		if is != (i < len(d.Allowed)) || was == is {
			return fmt.Sprintf("the witness %+v was %v and is %v", c.Witness, was, is)
		}
	}
	for _, c := range d.Sessions {
		was, by := eval.Decide(before, c.Witness.From, c.Witness.To, c.Witness.Flow)
		is, by2 := eval.Decide(after, c.Witness.From, c.Witness.To, c.Witness.Flow)
		if !was || !is || by.Stateless == by2.Stateless {
			return fmt.Sprintf("the witness %+v, of sessions, was %v and is %v, and no less", c.Witness, was, is)
		}
	}
	return ""
}

func equal(x *trial, before, after *about) string {
	for _, q := range x.probes {
		was, is := before.decide(q), after.decide(q)
		if (was.allow != is.allow || was.stateless() != is.stateless()) && x.exists(q) {
			return fmt.Sprintf("%s: was %s, is %s, and diff is empty", x.say(q), was, is)
		}
	}
	return ""
}
