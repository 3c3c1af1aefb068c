package check

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"bulkhead/dataplane/policy"
)

// Problem is what is wrong with a word, and how to mend it.
type Problem struct{ Text, Cure, Meant string }

// Error writes the problem in a line.
func (p *Problem) Error() string {
	out := p.Text
	if p.Meant != "" {
		out += fmt.Sprintf("; did you mean %q?", p.Meant)
	}
	if p.Cure != "" {
		out += "; " + p.Cure
	}
	return out
}

// Subject reads one end of a connection: a service (an endpoint with exactly
// the labels it asks for), an endpoint by name or address, an address of none, or
// labels as app=shop,tier=db, of a host as host,app=shop.
func (p *Policy) Subject(text string) (Subject, *Problem) {
	return p.subjectIn(nil, text, func(name string) string { return p.meant(nil, name) })
}

// subjectIn is Subject with the names of a scope; meant says what a wrong name
// was probably meant to be.
func (p *Policy) subjectIn(scope *Service, text string, meant func(string) string) (Subject, *Problem) {
	if s, found := p.in(scope, text); found {
		switch {
		case s.Service != nil:
			return s.Service.example(text)
		case s.Outside:
			return Subject{}, &Problem{Text: fmt.Sprintf("%q is not one address", text), Cure: "name an address that no endpoint has"}
		case s.Network != nil:
			return Subject{}, &Problem{Text: fmt.Sprintf("%q is a network, not one address", text), Cure: "name an address in it"}
		}
		return Subject{}, &Problem{Text: fmt.Sprintf("%q is everybody", text), Cure: "name a service, an address, or labels"}
	}
	if s, found := p.endpoint(text); found {
		return s, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Is4In6() || a.Zone() != "" {
			return Subject{}, &Problem{Text: fmt.Sprintf("%q is no address that a packet has", text), Cure: "write IPv4 as IPv4, and no zone"}
		}
		if s, found := p.holder(scope, a); found {
			return s, nil
		}
		return Subject{Text: text, Addr: a}, nil
	}
	if strings.Contains(text, "=") {
		return labelSubject(text)
	}
	if kind, _, found := strings.Cut(text, ":"); found && goodName(kind) && len(p.Endpoints) > 0 {
		return Subject{}, p.noEndpoint(text)
	}
	return Subject{}, &Problem{
		Text: fmt.Sprintf("no service is called %q", text), Cure: "a service, an address, or labels as app=shop,tier=db",
		Meant: meant(text),
	}
}

// example is an endpoint with exactly the labels that a service asks for. There
// is one only where the service asks for one: not where it offers a choice.
func (s *Service) example(text string) (Subject, *Problem) {
	labels := maps.Clone(s.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	one := len(s.Any) == 0 && len(s.Services) == 0
	for _, r := range s.Match {
		if _, pinned := labels[r.Key]; !pinned && r.Op == policy.OpIn && len(r.Values) == 1 {
			labels[r.Key] = r.Values[0]
		}
	}
	for _, r := range s.Match {
		one = one && r.Met(labels)
	}
	if !one {
		return Subject{}, &Problem{Text: fmt.Sprintf("%q is endpoints of several kinds", text), Cure: "give the labels of one: app=shop,tier=db; in a test { labels = { ... } }"}
	}
	return Subject{Text: text, Labels: labels}, nil
}

func labelSubject(text string) (Subject, *Problem) {
	s := Subject{Text: text, Labels: map[string]string{}}
	words := strings.Split(text, ",")
	if strings.TrimSpace(words[0]) == hostName {
		s.Labels[policy.HostLabel] = policy.HostValue
		words = words[1:]
	}
	for _, pair := range words {
		key, value, found := strings.Cut(strings.TrimSpace(pair), "=")
		if _, twice := s.Labels[key]; !found || key == "" || twice {
			return s, &Problem{Text: fmt.Sprintf("%q is no list of labels", text), Cure: "each key once, as app=shop,tier=db"}
		}
		if strings.HasPrefix(key, policy.Reserved) {
			return s, &Problem{Text: fmt.Sprintf("label %q is the switch's own", key), Cure: "a host with labels is host,app=shop"}
		}
		s.Labels[key] = value
	}
	return s, nil
}
