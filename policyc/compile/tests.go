package compile

import (
	"cmp"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/relevant"
)

// maxExplained bounds the failed tests that are told why: it takes all rules for
// each, and nobody reads more.
const maxExplained = 50

// view is a policy at one time, and how it is asked.
type view struct {
	asker
	rules *relevant.Index
}

// runTests asks the policy its own questions, each of the rules alone that name
// both of its ends. A range must be answered as expected throughout. So must a
// test that states no time, at all times: what a build says must not depend on
// when it is done. otherwise is the time of such tests if it is not 0. Why one
// was not is worked out only where one was not: that takes the whole policy.
func runTests(p *Policy, otherwise int64, list *diag.List) {
	views, failed := map[int64]*view{}, 0
	for _, t := range p.Tests {
		times := TimesOf(p, t, otherwise)
		for i, now := range times {
			if len(views) == maxViews {
				clear(views)
			}
			if views[now] == nil {
				at := p.At(now)
				views[now] = &view{asker{p: at}, relevant.New(at)}
			}
			a, fine := views[now].test(t)
			if fine {
				continue
			}
			if failed++; failed <= maxExplained {
				views[now].explain(&a, t.From, t.To)
			}
			wrong(t, a, when(times, i), list)
			break
		}
	}
}

// maxViews bounds the views of a policy that are kept while tests run: each has
// a list of all rules.
const maxViews = 64

// TimesOf are the times, in seconds since 1970, that a test asks about: its own,
// else otherwise if that is not 0, else one of each stretch of time in which the
// policy says the same of its ends.
func TimesOf(p *Policy, t *check.Test, otherwise int64) []int64 {
	if at := cmp.Or(t.When, otherwise); at != 0 {
		return []int64{at}
	}
	return eval.Times(p, t.From, t.To)
}

// test asks one question, and tells whether the answer is as expected.
func (v *view) test(t *check.Test) (Answer, bool) {
	a := Answer{Answer: eval.Ask(v.rules.Between(t.From, t.To), t.From, t.To, t.Ports)}
	return a, a.Allow && t.Allow || !a.Allow && !a.Part && !t.Allow
}

// when says at which of its times a test failed, where it has several.
func when(times []int64, i int) string {
	switch {
	case len(times) == 1:
		return ""
	case i == 0:
		return "before " + policy.FormatTime(times[1])
	}
	return "at " + policy.FormatTime(times[i])
}

// wrong reports a test that failed.
func wrong(t *check.Test, a Answer, when string, list *diag.List) {
	var d *diag.Diagnostic
	if when == "" {
		d = list.Errorf(t.At, "test %q: expected %s, but it is %s", t.Name, word(t.Allow), verdict(a))
	} else {
		d = list.Errorf(t.At, "test %q: expected %s, but %s it is %s", t.Name, word(t.Allow), when, verdict(a))
	}
	if a.By != nil {
		d.Note(a.By.At, "by rule %q", a.By.Name)
	}
	switch {
	case a.Part && a.From:
		d.With("from source port %d it is denied; source_port = \"1024-65535\" asks of some of them", a.At.Src)
	case when != "":
		d.With("a test without a time must hold at all times; at = 2026-01-01T00:00:00Z states one")
	case t.Allow && a.Near != "":
		d.With("the nearest rule is %s", a.Near)
	case t.Allow && a.Beaten != "":
		d.With("rule %q allows it, but %s", a.Beaten, a.Why)
	}
}

func word(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}

func verdict(a Answer) string {
	switch {
	case a.Part:
		return "allowed in part"
	case a.Allow:
		return "allowed"
	case a.By != nil:
		return "denied"
	}
	return "denied: no rule allows it"
}
