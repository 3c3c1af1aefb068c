package compile

import (
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/relevant"
)

// maxExplained bounds the failed tests that are told why: it takes all rules for
// each, and nobody reads more.
const maxExplained = 50

// runTests asks the policy its own questions: each of the rules alone that name
// both of its ends. A range must be answered as expected throughout. Why one was
// not is worked out only where one was not: that takes the whole policy.
func runTests(p *Policy, list *diag.List) {
	if len(p.Tests) == 0 {
		return
	}
	rules, failed := relevant.New(p), 0
	ask := asker{p: p}
	for _, t := range p.Tests {
		a := Answer{Answer: eval.Ask(rules.Between(t.From, t.To), t.From, t.To, t.Ports)}
		if a.Allow && t.Allow || !a.Allow && !a.Part && !t.Allow {
			continue
		}
		if failed++; failed <= maxExplained {
			ask.explain(&a, t.From, t.To)
		}
		d := list.Errorf(t.At, "test %q: expected %s, but it is %s", t.Name, word(t.Allow), verdict(a))
		if a.By != nil {
			d.Note(a.By.At, "by rule %q", a.By.Name)
		}
		if t.Allow && a.Near != "" {
			d.With("the nearest rule is %s", a.Near)
		}
		if t.Allow && a.Beaten != "" {
			d.With("rule %q allows it, but %s", a.Beaten, a.Why)
		}
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
