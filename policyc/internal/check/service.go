package check

import (
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
)

func (c *checker) service(s *source.Service) {
	c.notReserved(&s.Labels)
	out := &Service{Name: c.qualified(s.Name.Value), Labels: c.labelsOf(&s.Labels), Match: c.match(&s.Match), At: s.Name.At}
	for i := range s.Any.Items {
		out.Any = append(out.Any, c.choice(&s.Any.Items[i]))
	}
	out.Ports = c.portNames(&s.Ports)
	own := s.Labels.Set || s.Match.Set || s.Any.Set || s.Ports.Set
	switch {
	case s.Services.Set && own:
		c.list.Errorf(s.Services.At, "service %q is a group and has labels or ports of its own", s.Name.Value).
			With("make two services of it, and put both in a group; ports are named by the services in it")
	case s.Services.Set && len(s.Services.Items) == 0 && !s.Services.Bad:
		c.list.Errorf(s.Services.At, "group %q has no services, so it selects nothing", s.Name.Value).With("services = [\"web\", \"api\"]")
	case s.Any.Set && len(s.Any.Items) == 0 && !s.Any.Bad:
		c.list.Errorf(s.Any.At, "service %q is any of nothing, so it selects nothing", s.Name.Value).With("any = [{ labels = { app = \"...\" } }]")
	case !s.Services.Set && !s.Any.Set && !s.Bad && nothing(&s.Labels, &s.Match):
		c.list.Errorf(s.Name.At, "service %q has no labels, so it selects nothing", s.Name.Value).
			With("labels = { app = \"...\" }; for every endpoint there is the built-in any")
	}
	if !s.Services.Set {
		c.scoped(out.Labels, &s.Labels)
	}
	out.Scope = c.scope
	c.p.Services = append(c.p.Services, out)
	c.define(s.Name, Set{Service: out})
}

// nothing tells whether labels and conditions ask for nothing.
func nothing(labels *source.Labels, match *source.Texts) bool {
	return len(labels.Items)+len(match.Items) == 0 && !labels.Bad && !match.Bad
}

func (c *checker) choice(s *source.Choice) Choice {
	c.notReserved(&s.Labels)
	if nothing(&s.Labels, &s.Match) && !s.Bad {
		c.list.Errorf(s.At, "an alternative without labels selects nothing").With("{ labels = { app = \"...\" } }")
	}
	return Choice{Labels: c.labelsOf(&s.Labels), Match: c.match(&s.Match)}
}

func (c *checker) match(texts *source.Texts) []policy.Requirement {
	var out []policy.Requirement
	for _, text := range texts.Items {
		r, problem := ParseMatch(text.Value)
		if problem != nil {
			c.list.Errorf(text.At, "%s", problem.Text).With("%s", problem.Cure)
			continue
		}
		if strings.HasPrefix(r.Key, policy.Reserved) {
			c.reserved(text.At, r.Key)
		}
		out = append(out, r)
	}
	return out
}

// notReserved holds labels that stand in a policy against those that nobody
// writes by hand.
func (c *checker) notReserved(labels *source.Labels) {
	for _, l := range labels.Items {
		if strings.HasPrefix(l.Key.Value, policy.Reserved) {
			c.reserved(l.Key.At, l.Key.Value)
		}
	}
}

func (c *checker) reserved(at diag.Span, key string) {
	c.list.Errorf(at, "label %q is the switch's own", key).With("name the built-in service %q where hosts are meant; labels of yours do not begin with %s", hostName, policy.Reserved)
}

// groups resolves the services that groups name, when all are known.
func (c *checker) groups(statements []*source.Service) {
	for i, s := range statements {
		c.scope = c.p.Services[i].Scope
		for _, name := range s.Services.Items {
			if m := c.member(name); m != nil {
				c.p.Services[i].Services = append(c.p.Services[i].Services, m)
			}
		}
	}
	done := map[*Service]bool{}
	for _, s := range c.p.Services {
		c.acyclic(s, nil, map[*Service]int{}, done)
	}
	c.weigh()
}

// member finds a service that a group names.
func (c *checker) member(name source.Text) *Service {
	s, found := c.p.in(c.scope, name.Value)
	if found {
		c.used[s.Name()] = true
	}
	switch {
	case !found:
		c.list.Errorf(name.At, "no service is called %q", name.Value).Meant(c.meant(name.Value))
	case s.Service == nil:
		c.list.Errorf(name.At, "%q is no service, and a group is of services", name.Value).With("name it in the rule, beside the group")
	case c.scope != nil && s.Service.Scope != c.scope:
		c.list.Errorf(name.At, "%q is not of scope %q, and a group of a scope is", name.Value, c.scope.Name).With("name it in the rule, beside the group")
	}
	return s.Service
}

// acyclic reports each group that is part of itself, and takes it out of
// itself, so that nothing walks in circles. path is the groups that led to it,
// each at its place in it by where.
func (c *checker) acyclic(s *Service, path []*Service, where map[*Service]int, done map[*Service]bool) {
	where[s] = len(path)
	path = append(path, s)
	s.Services = slices.DeleteFunc(s.Services, func(m *Service) bool {
		at, onPath := where[m]
		if !onPath {
			return false
		}
		c.list.Errorf(s.At, "service %q is part of itself: %s", s.Name, trail(append(slices.Clone(path[at:]), m))).With("take one of them out of the other")
		return true
	})
	for _, m := range s.Services {
		if !done[m] {
			c.acyclic(m, path, where, done)
		}
	}
	delete(where, s)
	done[s] = true
}

// trail names services as "a, which holds b, which holds a".
func trail(path []*Service) string {
	var names []string
	for _, s := range path {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", which holds ")
}
