// Package check gives a policy's statements their meaning: names become the
// services and networks they name, ports become numbers, and whatever cannot
// mean anything is reported, all of it at once, with the place and the cure.
//
// What it returns, a [Policy], is the checked source: what package eval
// defines the meaning of, and package lower compiles.
package check

import (
	"net/netip"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
)

// Policy is the checked source of one or several files.
type Policy struct {
	Services []*Service // without the scopes
	Scopes   []*Service // by Lookup services like others: every endpoint in the scope
	Networks []*Network
	Rules    []*Rule
	// Defaults has, by tier, a rule for everything that says what the tier says
	// where no rule of it matches; nil is pass.
	Defaults [Tiers]*Rule
	Tests    []*Test
	// Endpoints are those that questions and tests can name.
	Endpoints []Subject
	// Asked are the names of services and networks that tests ask about.
	Asked map[string]bool
	named map[string]Set
}

// Service is a set of endpoints: those that have all of its labels, meet all of
// its conditions and, where there are alternatives, one of those. A group has
// nothing but services: it is the endpoints of any of them.
type Service struct {
	Name     string
	Labels   map[string]string
	Match    []policy.Requirement
	Any      []Choice
	Services []*Service // of a group; never in a circle
	// Ports are the service's own names for ports. A group has its members'.
	Ports map[string][]policy.Port
	// Scope is the one that the service is of, itself for a scope; nil: none.
	// Its labels are among Labels, its name is before a '/' in Name.
	Scope *Service
	At    diag.Span
}

// Choice is one alternative of a service.
type Choice struct {
	Labels map[string]string
	Match  []policy.Requirement
}

// Network is a set of addresses: those in a prefix and in no exception.
type Network struct {
	Name             string
	Prefixes, Except []netip.Prefix
	At               diag.Span
}

// Set is one member of a rule's from or to. One of the four holds.
type Set struct {
	Any     bool
	Outside bool
	Service *Service
	Network *Network
}

// Name is the set's name in the source.
func (s Set) Name() string {
	switch {
	case s.Service != nil:
		return s.Service.Name
	case s.Network != nil:
		return s.Network.Name
	case s.Outside:
		return outsideName
	}
	return anyName
}

// Rule is one statement: From may, or may not, connect To on Ports.
type Rule struct {
	Name      string
	Allow     bool   // neither Allow nor Pass: deny
	Pass      bool   // leave the tier, go on in the next
	Tier      uint32 // index into TierNames, the first decides first
	Priority  uint32 // in the tier, the least decides first
	Direction policy.Direction
	// Scope is the one that the rule is of: it speaks only for ends in it. nil
	// is none: the rule speaks for all.
	Scope *Service
	// The lists may be of other rules, too: they are not to be changed.
	From, To []Set
	Ports    []policy.Port
	// Named are ports besides, each of one destination only.
	Named []NamedPorts
	At    diag.Span
	// Log has the switch report what the rule decides; Audit, of a deny, has it
	// say what it would deny, and decide nothing; Stateless, of an allow, opens
	// no session.
	Log, Audit, Stateless bool
	// Valid is when the rule speaks, and Dormant says that in a view of another
	// time it does not.
	Valid   policy.Period
	Dormant bool
	// Owner and Reason are whose it is and what for.
	Owner, Reason string
}

// NamedPorts is what a rule's named ports are where it goes to a service: Via is
// the set that the rule names, To the service, the same or in that group.
type NamedPorts struct {
	Via   Set
	To    *Service
	Ports []policy.Port
}

// AllPorts are the ports of a rule wherever it goes. They are not to be changed.
func (r *Rule) AllPorts() []policy.Port {
	if len(r.Named) == 0 {
		return r.Ports // tests ask this of every rule
	}
	out := slices.Clone(r.Ports)
	for _, n := range r.Named {
		out = append(out, n.Ports...)
	}
	return out
}

// Verdict is what the rule says.
func (r *Rule) Verdict() policy.Verdict {
	switch {
	case r.Pass:
		return policy.Pass
	case r.Allow:
		return policy.Allow
	}
	return policy.Deny
}

// Test is a connection and what the policy must say to it.
type Test struct {
	Name     string
	From, To Subject
	Ports    []policy.Port
	Allow    bool
	At       diag.Span
	// When is the time that it asks about, in seconds since 1970; 0: all times.
	When int64
}

// Subject is one end of a connection as people describe it.
type Subject struct {
	Text   string
	Labels map[string]string // an endpoint's; nil for an address outside
	Addr   netip.Addr        // invalid for an endpoint without one
	Addrs  []netip.Addr      // of a named endpoint: all of them
	Named  bool              // by its own name: one endpoint, and not any with its labels
	// Scope is the one that a named endpoint is stated in, whose labels are among
	// Labels; nil: none. Only that scope's tests know it by its addresses.
	Scope *Service
	// Several: the name is of several that are alike, as replicas are. One of them
	// that connects to another crosses the switch.
	Several bool
}

// Same tells whether two ends are one endpoint. Of several of one name they are
// taken for two: what holds between them is what the policy says.
func (s *Subject) Same(other *Subject) bool {
	return s.Named && other.Named && s.Text == other.Text && !s.Several
}

// The built-in names.
const (
	anyName     = "any"     // everybody
	hostName    = "host"    // the endpoints that are hosts
	outsideName = "outside" // the addresses of no endpoint
)

// At is the policy as it is at a time, in seconds since 1970: rules that are not
// valid then are Dormant. It is the policy itself where that is none.
func (p *Policy) At(now int64) *Policy {
	dormant := func(r *Rule) bool { return !r.Valid.Has(now) }
	if !slices.ContainsFunc(p.Rules, dormant) {
		return p
	}
	out := *p
	out.Rules = slices.Clone(p.Rules)
	for i, r := range out.Rules {
		if dormant(r) {
			sleeping := *r
			sleeping.Dormant = true
			out.Rules[i] = &sleeping
		}
	}
	return &out
}

var builtIn = map[string]Set{anyName: {Any: true}, hostName: {Service: Host}, outsideName: {Outside: true}}

// Host is the service of the endpoints that are hosts. It is a service like
// others, but for its label, which nobody can write.
var Host = &Service{Name: hostName, Labels: map[string]string{policy.HostLabel: policy.HostValue}}

var builtInMeaning = map[string]string{
	anyName: "everybody", hostName: "the endpoints that are hosts", outsideName: "every address that no endpoint has, but for groups and link-local ones",
}

// BuiltIn says what a built-in name means; empty: it is none.
func BuiltIn(name string) string { return builtInMeaning[name] }

// BuiltInNames lists them.
func BuiltInNames() []string { return []string{anyName, hostName, outsideName} }

// Lookup finds a service or network by name, or a built-in set.
func (p *Policy) Lookup(name string) (Set, bool) {
	if s, found := builtIn[name]; found {
		return s, true
	}
	s, found := p.named[name]
	return s, found
}

// Names lists what a rule can name.
func (p *Policy) Names() []string {
	names := BuiltInNames()
	for name := range p.named {
		names = append(names, name)
	}
	return names
}
