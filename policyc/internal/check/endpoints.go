package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
	"bulkhead/vswitch/cli/nearest"
)

// known checks an endpoint that questions and tests can name. Rules cannot: a
// policy names nobody in particular. One that a scope states is of the scope, as
// its services are: a team says nothing of the endpoints of others.
func (c *checker) known(k *source.Known) {
	c.notReserved(&k.Labels)
	s := Subject{Text: k.Name.Value, Labels: c.labelsOf(&k.Labels), Named: true, Several: k.Several, Scope: c.scope}
	c.scoped(s.Labels, &k.Labels)
	if k.Host {
		s.Labels[policy.HostLabel] = policy.HostValue
	}
	if !goodEndpoint(k.Name.Value) {
		c.list.Errorf(k.Name.At, "%q is no name of an endpoint", k.Name.Value).With("a kind, a colon and a name, as \"pod:shop/web\"; no address, and no equals sign")
	}
	if first, taken := c.places[k.Name.Value]; taken {
		c.list.Errorf(k.Name.At, "%q is already defined", k.Name.Value).With("an endpoint is stated once, with all its addresses").Note(first, "first defined here")
	}
	c.places[k.Name.Value], c.used[k.Name.Value] = k.Name.At, true
	if len(k.Labels.Items) == 0 && !k.Labels.Bad && !k.Host {
		c.list.Errorf(k.Name.At, "endpoint %q has no labels, so it is in no service", k.Name.Value).With("labels = { app = \"...\" }; for a host host = true")
	}
	if k.Several && len(k.Addresses.Items) > 0 {
		c.list.Errorf(k.AtSeveral, "%q is several endpoints, and has addresses: whose is each?", k.Name.Value).With("give each of them an entry with its addresses, or leave the addresses out")
	}
	for _, text := range k.Addresses.Items {
		a, err := netip.ParseAddr(text.Value)
		if err != nil || a.Is4In6() || a.Zone() != "" {
			c.list.Errorf(text.At, "%q is no address of an endpoint", text.Value).With("as \"192.0.2.1\" or \"2001:db8::1\", without a length or a zone")
			continue
		}
		c.held(a, k, text.At)
		s.Addrs = append(s.Addrs, a)
	}
	if len(s.Addrs) > 0 {
		s.Addr = s.Addrs[0]
	}
	c.p.Endpoints = append(c.p.Endpoints, s)
}

// goodEndpoint tells whether a name is KIND:NAME, and not an address or labels as
// well: a test that says fd00::1 or k8s:app=web means those, and no endpoint that
// somebody calls so.
func goodEndpoint(name string) bool {
	kind, rest, found := strings.Cut(name, ":")
	_, err := netip.ParseAddr(name)
	return found && goodName(kind) && rest != "" && goodRuleName(rest) && err != nil && !strings.Contains(name, "=")
}

// holding is who has an address, and where that is said.
type holding struct {
	by *source.Known
	at diag.Span
}

// held notes who has an address, which is one endpoint: a question by the address
// would else be answered for whoever is stated first. Hosts may share one, for no
// rule tells them apart by it: a node, and what runs on its network.
func (c *checker) held(a netip.Addr, k *source.Known, at diag.Span) {
	first, taken := c.holders[a]
	switch {
	case !taken:
		c.holders[a] = holding{k, at}
	case first.by != k && !(first.by.Host && k.Host):
		c.list.Errorf(at, "%s is of %q, too", a, first.by.Name.Value).With("an address is of one endpoint: take it out of one of the two").Note(first.at, "the first")
	}
}

// endpoint finds an endpoint by its name.
func (p *Policy) endpoint(name string) (Subject, bool) {
	for _, s := range p.Endpoints {
		if s.Text == name {
			return s, true
		}
	}
	return Subject{}, false
}

// noEndpoint says that nobody has a name, and what was probably meant.
func (p *Policy) noEndpoint(name string) *Problem {
	var names []string
	for _, s := range p.Endpoints {
		names = append(names, s.Text)
	}
	return &Problem{Text: fmt.Sprintf("no endpoint is called %q", name), Cure: "name one of [endpoints], as KIND:NAME", Meant: nearest.Name(name, names)}
}

// holder finds the endpoint that has an address, as far as a scope knows, nil for
// who is of none. What another scope states does not count: a team that calls an
// address of the outside its own would else answer the tests of everybody, while
// the switch goes on to take the address for outside.
func (p *Policy) holder(scope *Service, a netip.Addr) (Subject, bool) {
	for _, s := range p.Endpoints {
		if (s.Scope == nil || s.Scope == scope) && slices.Contains(s.Addrs, a) {
			s.Addr, s.Addrs = a, []netip.Addr{a}
			return s, true
		}
	}
	return Subject{}, false
}

// OneFamily has both ends use addresses of one family, where they have such:
// a connection is of one.
func OneFamily(from, to *Subject) {
	if !from.Addr.IsValid() || !to.Addr.IsValid() || from.Addr.Is4() == to.Addr.Is4() {
		return
	}
	for _, a := range to.Addrs {
		if a.Is4() == from.Addr.Is4() {
			to.Addr = a
			return
		}
	}
	for _, a := range from.Addrs {
		if a.Is4() == to.Addr.Is4() {
			from.Addr = a
			return
		}
	}
}
