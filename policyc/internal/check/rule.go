package check

import (
	"slices"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
)

// rule checks a rule: whom it is about, and what it says.
func (c *checker) rule(r *source.Rule, names map[string]diag.Span) {
	if len(c.room) == 0 {
		c.room = make([]Rule, 256)
	}
	out := &c.room[0]
	c.room = c.room[1:]
	out.Name, out.At = c.qualified(r.Name.Value), r.At
	switch first, taken := names[out.Name]; {
	case r.Name.Bad:
	case r.Name.Value == "":
		c.list.Errorf(r.At, "a rule has no name").With("name = \"...\": it is what drops and counters are reported by")
	case !goodRuleName(r.Name.Value):
		c.list.Errorf(r.Name.At, "%q is no name of a rule", r.Name.Value).With("characters that print, at most %d bytes: it stands in tables, logs and metrics", maxName)
	case taken:
		c.list.Errorf(r.Name.At, "two rules are called %q", r.Name.Value).With("rename one: counters and traces go by the name").Note(first, "the first")
	default:
		names[out.Name] = r.Name.At
	}
	clause := c.verdict(out, r)
	if clause == nil {
		return
	}
	c.rank(out, r)
	c.marks(out, r)
	out.From = c.sets(clause, &clause.From, "from")
	out.To = c.sets(clause, &clause.To, "to")
	out.Ports = c.ports(out, clause)
	c.speaks(out, r, !clause.From.Bad && !clause.To.Bad)
	c.p.Rules = append(c.p.Rules, out)
}

// verdict reads what a rule says, and returns about what; nil: nothing.
func (c *checker) verdict(out *Rule, r *source.Rule) *source.Clause {
	clauses := slices.DeleteFunc([]*source.Clause{r.Allow, r.Deny, r.Pass}, func(c *source.Clause) bool { return c == nil })
	switch {
	case len(clauses) > 1:
		c.list.Errorf(r.At, "rule %q has more than one verdict", r.Name.Value).With("make a rule of each")
	case len(clauses) == 0 && !r.Bad:
		c.list.Errorf(r.At, "rule %q neither allows nor denies", r.Name.Value).With("allow = { from = [...], to = [...], ports = [...] }")
	}
	if len(clauses) == 0 {
		return nil
	}
	out.Allow, out.Pass = r.Allow != nil, r.Pass != nil
	return clauses[0]
}

// sets resolves one side of a rule.
func (c *checker) sets(clause *source.Clause, names *source.Texts, side string) []Set {
	if len(names.Items) == 0 && !names.Bad {
		c.list.Errorf(at(names, clause), "no %s: the rule matches nothing", side).With("%s = [\"service\"], or [\"any\"]", side)
	}
	var out []Set
	for _, name := range names.Items {
		s, found := c.p.in(c.scope, name.Value)
		if !found {
			c.list.Errorf(name.At, "no service or network is called %q", name.Value).Meant(c.meant(name.Value))
			continue
		}
		c.used[s.Name()] = true
		if slices.Contains(out, s) {
			c.list.Warnf(name.At, "%q is named twice", name.Value)
			continue
		}
		if out == nil {
			out = c.only(s)
			continue
		}
		out = append(out, s)
	}
	return out
}

// only is the list of one set. Whoever adds to it has one of its own.
func (c *checker) only(s Set) []Set {
	list := c.alone[s]
	if list == nil {
		list = []Set{s}
		c.alone[s] = list
	}
	return list
}

func at(list *source.Texts, clause *source.Clause) diag.Span {
	if list.Set {
		return list.At
	}
	return clause.At
}
