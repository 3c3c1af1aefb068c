package check

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/source"
	"bulkhead/vswitch/cli/nearest"
)

// A service can name its ports, and a rule then says "http" and means at each
// destination what that one calls so. The name is resolved here, once for each
// service that the rule goes to, through groups to their members: a rule on
// "http" to web and api is tcp/8080 to the one and tcp/9090 to the other, and
// never the other way about. A destination without the name would silently be
// reached on less than was written, so it is a mistake.

// portNames reads the ports that a service names.
func (c *checker) portNames(table *source.NamedPorts) map[string][]policy.Port {
	if len(table.Items) == 0 {
		return nil
	}
	out := map[string][]policy.Port{}
	for _, item := range table.Items {
		name := item.Name.Value
		switch _, word := ParsePorts(name); {
		case !goodName(name):
			c.list.Errorf(item.Name.At, "%q is no name of a port", name).With("begin with a letter; letters, digits, '_', '-' and '.' after that, at most %d in all", maxName)
			continue
		case word == nil || slices.Contains(PortNames(), name):
			c.list.Errorf(item.Name.At, "%q is a word of the language", name).With("choose another name for the port")
			continue
		case len(item.Ports.Items) == 0 && !item.Ports.Bad:
			c.list.Errorf(item.Name.At, "port %q is no port", name).With("%s = \"tcp/8080\"", name)
			continue
		}
		out[name] = []policy.Port{}
		for _, text := range item.Ports.Items {
			if text.Bad {
				continue
			}
			ports, err := ParsePorts(text.Value)
			if err != nil {
				c.list.Errorf(text.At, "%s", err.Text).With("%s", err.Cure).Meant(err.Meant)
			}
			out[name] = append(out[name], ports...)
		}
	}
	return out
}

// named resolves a word of a rule's ports that some destination has a name for.
// It tells whether that is so, and if it is reports those that have none.
func (c *checker) named(r *Rule, text source.Text) bool {
	if strings.Contains(text.Value, "/") {
		return false
	}
	var found []NamedPorts
	var lacking, near []string
	cure := ""
	for _, via := range r.To {
		if via.Service == nil {
			lacking, cure = append(lacking, via.Name()), "only services have names for ports: make a rule of its own for the others"
			continue
		}
		for _, s := range via.Service.Plain() {
			ports, has := s.Ports[text.Value]
			if !has {
				lacking, near = append(lacking, s.Name), append(near, s.portNames()...)
				cure = fmt.Sprintf("give it one, [services.%s] with ports = { %s = \"tcp/8080\" }, or make a rule of its own for it", s.Name, text.Value)
				continue
			}
			found = append(found, NamedPorts{via, s, ports})
		}
	}
	switch _, word := ParsePorts(text.Value); {
	case word == nil:
		return false
	case len(found) > 0 && len(lacking) > 0:
		c.list.Errorf(text.At, "%s names no port %q", strings.Join(lacking, ", "), text.Value).
			With("%s", cure).Meant(nearest.Name(text.Value, near))
	case len(found) == 0 && nearest.Name(text.Value, near) != "":
		c.list.Errorf(text.At, "%s names no port %q", strings.Join(lacking, ", "), text.Value).Meant(nearest.Name(text.Value, near))
	case len(found) == 0:
		return false
	}
	c.whoseNames(r, text, found)
	r.Named = append(r.Named, found...)
	return true
}

// whoseNames refuses a deny on a name that a scope gives, in a file of another
// scope or of none: who writes the scope's files could give the name to another
// number, and be out of the deny.
func (c *checker) whoseNames(r *Rule, text source.Text, found []NamedPorts) {
	if r.Verdict() != policy.Deny {
		return
	}
	for _, n := range found {
		if s := n.To.Scope; s != nil && s != c.scope {
			c.list.Errorf(text.At, "a deny on %q, and what it means is for scope %q to say", text.Value, s.Name).
				With("write the numbers: the scope could call others so, and the deny would miss them")
			return
		}
	}
}

// Plain is what a group comes down to, each service once; of a service that is
// none it is the service.
func (s *Service) Plain() []*Service {
	var out []*Service
	s.Each(func(m *Service) {
		if len(m.Services) == 0 {
			out = append(out, m)
		}
	})
	return out
}

// Each calls f with a service and, of a group, all that are in it, each once.
func (s *Service) Each(f func(*Service)) {
	seen := map[*Service]bool{}
	var walk func(*Service)
	walk = func(s *Service) {
		if seen[s] {
			return
		}
		seen[s] = true
		f(s)
		for _, m := range s.Services {
			walk(m)
		}
	}
	walk(s)
}

func (s *Service) portNames() []string {
	var out []string
	for name := range s.Ports {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// PortsAt reads a word of ports of a connection to somebody who is named by a
// service: the service's own names count, too.
func (p *Policy) PortsAt(to, word string) ([]policy.Port, *Problem) { return p.portsAt(nil, to, word) }

func (p *Policy) portsAt(scope *Service, to, word string) ([]policy.Port, *Problem) {
	ports, problem := ParsePorts(word)
	if problem == nil {
		return ports, nil
	}
	set, found := p.in(scope, to)
	if !found || set.Service == nil {
		return nil, problem
	}
	if own, has := set.Service.Ports[word]; has {
		return own, nil
	}
	if names := set.Service.portNames(); len(names) > 0 && !strings.Contains(word, "/") {
		return nil, &Problem{Text: fmt.Sprintf("%s names no port %q", to, word), Cure: "its ports are " + strings.Join(names, ", "), Meant: nearest.Name(word, names)}
	}
	return nil, problem
}
