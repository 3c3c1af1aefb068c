package check

import (
	"net/netip"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/source"
)

// known checks an endpoint that questions and tests can name. Rules cannot: a
// policy names nobody in particular.
func (c *checker) known(k *source.Known) {
	c.notReserved(&k.Labels)
	s := Subject{Text: k.Name.Value, Labels: c.labelsOf(&k.Labels), Named: true}
	if k.Host {
		s.Labels[policy.HostLabel] = policy.HostValue
	}
	if kind, rest, found := strings.Cut(k.Name.Value, ":"); !found || !goodName(kind) || rest == "" || !goodRuleName(rest) {
		c.list.Errorf(k.Name.At, "%q is no name of an endpoint", k.Name.Value).With("a kind, a colon and a name, as \"pod:shop/web\"")
	}
	if first, taken := c.places[k.Name.Value]; taken {
		c.list.Errorf(k.Name.At, "%q is already defined", k.Name.Value).With("an endpoint is stated once, with all its addresses").Note(first, "first defined here")
	}
	c.places[k.Name.Value], c.used[k.Name.Value] = k.Name.At, true
	if len(k.Labels.Items) == 0 && !k.Labels.Bad && !k.Host {
		c.list.Errorf(k.Name.At, "endpoint %q has no labels, so it is in no service", k.Name.Value).With("labels = { app = \"...\" }; for a host host = true")
	}
	for _, text := range k.Addresses.Items {
		a, err := netip.ParseAddr(text.Value)
		if err != nil || a.Is4In6() || a.Zone() != "" {
			c.list.Errorf(text.At, "%q is no address of an endpoint", text.Value).With("as \"192.0.2.1\" or \"2001:db8::1\", without a length or a zone")
			continue
		}
		s.Addrs = append(s.Addrs, a)
	}
	if len(s.Addrs) > 0 {
		s.Addr = s.Addrs[0]
	}
	c.p.Endpoints = append(c.p.Endpoints, s)
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

// holder finds the endpoint that has an address.
func (p *Policy) holder(a netip.Addr) (Subject, bool) {
	for _, s := range p.Endpoints {
		if slices.Contains(s.Addrs, a) {
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
