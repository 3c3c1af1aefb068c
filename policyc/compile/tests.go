package compile

import (
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/diag"
)

// runTests asks the policy its own questions. A range must be answered as
// expected throughout. Why one was not is worked out only where one was not:
// that takes the whole policy.
func runTests(p *Policy, list *diag.List) {
	ask := asker{p: p}
	for _, t := range p.Tests {
		a := Answer{Answer: eval.Ask(p, t.From, t.To, t.Ports)}
		if a.Allow && t.Allow || !a.Allow && !a.Part && !t.Allow {
			continue
		}
		ask.explain(&a, t.From, t.To)
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
