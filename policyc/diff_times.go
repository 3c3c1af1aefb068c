package main

import (
	"fmt"
	"reflect"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/analyze"
)

// maxPeriods bounds how many stretches of time two policies are compared in:
// each is a comparison of its own.
const maxPeriods = 64

// compareOver compares two policies at a time, or at 0 at all times: once in
// each stretch of time in which neither changes. What changes alike in stretches
// that follow each other is said once.
func compareOver(a, b *compile.Policy, now int64) (*difference, error) {
	periods := []policy.Period{{From: now, Until: now + 1}}
	if now == 0 {
		periods = stretches(a, b)
	}
	if len(periods) > maxPeriods {
		return nil, fmt.Errorf("the times of their rules make %d periods, more than %d: compare at one time, with --at", len(periods), maxPeriods)
	}
	var allowed, denied, sessions timed
	for _, p := range periods {
		d, err := analyze.Diff(a.At(p.From), b.At(p.From))
		if err != nil {
			return nil, err
		}
		allowed.add(changesOf(d.Allowed), p)
		denied.add(changesOf(d.Denied), p)
		sessions.add(changesOf(d.Sessions), p)
	}
	say := now == 0 && len(periods) > 1
	out := &difference{Allowed: allowed.changes(say), Denied: denied.changes(say), Sessions: sessions.changes(say)}
	out.Same = len(out.Allowed)+len(out.Denied)+len(out.Sessions) == 0
	return out, nil
}

// stretches are the periods between the times at which a rule begins or ceases
// to speak; together they are all of time.
func stretches(policies ...*compile.Policy) []policy.Period {
	starts := []int64{0}
	for _, p := range policies {
		for _, r := range p.Rules {
			starts = append(starts, r.Valid.From, r.Valid.Until)
		}
	}
	slices.Sort(starts)
	starts = append(slices.Compact(starts), 0)
	var out []policy.Period
	for i, from := range starts[:len(starts)-1] {
		out = append(out, policy.Period{From: from, Until: starts[i+1]})
	}
	return out
}

// timed gathers changes, each with the period that it holds in.
type timed struct {
	list []change
	when []policy.Period
}

// add adds the changes of a period. One that the period before had, too, goes on.
func (t *timed) add(changes []change, p policy.Period) {
	for _, c := range changes {
		goesOn := false
		for i := range t.list {
			if t.when[i].Until == p.From && p.From != 0 && reflect.DeepEqual(t.list[i], c) {
				t.when[i].Until, goesOn = p.Until, true
				break
			}
		}
		if !goesOn {
			t.list, t.when = append(t.list, c), append(t.when, p)
		}
	}
}

// changes are those gathered; say has each say when.
func (t *timed) changes(say bool) []change {
	out := append([]change{}, t.list...)
	for i, p := range t.when {
		if say && !p.Always() {
			out[i].When = p.String()
		}
	}
	return out
}
