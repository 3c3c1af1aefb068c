package check

import (
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
	"bulkhead/vswitch/cli/nearest"
)

// test checks one of the policy's own tests.
func (c *checker) test(t *source.Test) {
	out := &Test{Name: t.Name.Value, At: or(t.Expect.At, t.At), Allow: t.Expect.Value == "allow"}
	if t.Name.Value == "" && !t.Name.Bad {
		c.list.Errorf(t.At, "a test has no name").With("name = \"...\"")
	}
	var fine [5]bool
	out.From, fine[0] = c.subject(&t.From, t.At, "from")
	out.To, fine[1] = c.subject(&t.To, t.At, "to")
	out.Ports, fine[2] = c.port(t)
	fine[3] = c.expect(t)
	out.When, fine[4] = c.second(t.When)
	OneFamily(&out.From, &out.To)
	if out.From.Addr.IsValid() && out.To.Addr.IsValid() && out.From.Addr.Is4() != out.To.Addr.Is4() {
		c.list.Errorf(t.To.Text.At, "from and to are addresses of two families").With("a connection is of one")
		return
	}
	if !slices.Contains(fine[:], false) {
		c.p.Tests = append(c.p.Tests, out)
	}
}

// port reads what a test asks about.
func (c *checker) port(t *source.Test) ([]policy.Port, bool) {
	if t.Port.Bad {
		return nil, false
	}
	if t.Port.At.Src == nil {
		c.list.Errorf(t.At, "the test has no port").With("port = \"tcp/443\"")
		return nil, false
	}
	ports, err := c.p.portsAt(c.scope, t.To.Text.Value, t.Port.Value)
	if err != nil {
		c.list.Errorf(t.Port.At, "%s", err.Text).With("%s", err.Cure).Meant(err.Meant)
		return nil, false
	}
	if t.Source.Bad || t.Source.At.Src == nil {
		return ports, !t.Source.Bad
	}
	ports, err = From(ports, t.Source.Value)
	if err != nil {
		c.list.Errorf(t.Source.At, "%s", err.Text).With("%s", err.Cure)
	}
	return ports, err == nil
}

// expect checks what a test expects.
func (c *checker) expect(t *source.Test) bool {
	words := []string{"allow", "deny"}
	switch {
	case t.Expect.Bad:
		return false
	case t.Expect.At.Src == nil:
		c.list.Errorf(t.At, "the test has no expect").With("expect = \"allow\" or \"deny\"")
		return false
	case !slices.Contains(words, t.Expect.Value):
		c.list.Errorf(t.Expect.At, "expect is %q", t.Expect.Value).With("\"allow\" or \"deny\"").Meant(nearest.Name(t.Expect.Value, words))
		return false
	}
	return true
}

func or(at, otherwise diag.Span) diag.Span {
	if at.Src == nil {
		return otherwise
	}
	return at
}

// subject reads one end of a test.
func (c *checker) subject(e *source.Endpoint, whole diag.Span, side string) (Subject, bool) {
	if e.Bad {
		return Subject{}, false
	}
	if !e.Set {
		c.list.Errorf(whole, "the test has no %s", side).With("%s = \"service\", \"address\" or { labels = { ... } }", side)
		return Subject{}, false
	}
	if e.Labels.Set {
		c.notReserved(&e.Labels)
		return Subject{Text: "labels", Labels: c.labelsOf(&e.Labels)}, true
	}
	if named, found := c.p.in(c.scope, e.Text.Value); found {
		c.used[named.Name()] = true
		c.p.Asked[named.Name()] = true
	}
	s, problem := c.p.subjectIn(c.scope, e.Text.Value, c.meant)
	if problem != nil {
		c.list.Errorf(e.Text.At, "%s", problem.Text).With("%s", problem.Cure).Meant(problem.Meant)
	}
	return s, problem == nil
}
