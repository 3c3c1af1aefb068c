package nat

import (
	"fmt"
	"net/netip"
	"slices"

	"bulkhead/dataplane/packet"
)

// Bounds of the rules of a switch. A new session looks at each source rule of
// the switch at most once, at a destination rule by a hash.
const (
	MaxSources      = 64
	MaxPrefixes     = 64 // of one rule's To and Except
	MaxPool         = 256
	MaxDestinations = 4096
)

// End is an address and a port, or an ICMP query's identifier.
type End struct {
	Addr packet.Addr
	Port uint16
}

// String writes the end as people write it.
func (e End) String() string { return netip.AddrPortFrom(e.Addr.Netip(), e.Port).String() }

// Source says whose packets to the outside leave from which addresses.
type Source struct {
	Zone   uint16
	From   netip.Prefix   // who
	To     []netip.Prefix // the destinations; none: every one outside
	Except []netip.Prefix // of these, those that are reached untranslated
	Pool   []packet.Addr
	// Least and Most are the ports, and identifiers, that a packet may leave from.
	Least, Most uint16
}

// Destination publishes an endpoint's port at an outside address.
type Destination struct {
	Zone    uint16
	Proto   uint8 // TCP or UDP
	Outside End
	Inside  End
}

// Rules are the translations of a switch. They are made off the path and never
// change; any number of workers read them. A nil *Rules has none.
type Rules struct {
	sources      []Source
	destinations map[published]End
	owned        map[place]struct{}
}

type published struct {
	zone  uint16
	proto uint8
	end   End
}

type place struct {
	zone uint16
	addr packet.Addr
}

// NewRules makes the rules, or says what is wrong with them.
func NewRules(sources []Source, destinations []Destination) (*Rules, error) {
	if len(sources) > MaxSources || len(destinations) > MaxDestinations {
		return nil, fmt.Errorf("%d source and %d destination rules: at most %d and %d", len(sources), len(destinations), MaxSources, MaxDestinations)
	}
	r := &Rules{sources: slices.Clone(sources), destinations: map[published]End{}, owned: map[place]struct{}{}}
	for i := range sources {
		s := &sources[i]
		if err := s.check(); err != nil {
			return nil, err
		}
		for _, a := range s.Pool {
			r.owned[place{s.Zone, a}] = struct{}{}
		}
	}
	for _, d := range destinations {
		at := published{d.Zone, d.Proto, d.Outside}
		switch _, twice := r.destinations[at]; {
		case twice:
			return nil, fmt.Errorf("%s %s is published twice", packet.ProtoName(d.Proto), d.Outside)
		case d.Proto != packet.ProtoTCP && d.Proto != packet.ProtoUDP:
			return nil, fmt.Errorf("%s %s: only TCP and UDP have ports to publish", packet.ProtoName(d.Proto), d.Outside)
		case d.Outside.Addr.Is4() != d.Inside.Addr.Is4():
			return nil, fmt.Errorf("%s for %s: of two families", d.Outside, d.Inside)
		}
		r.destinations[at] = d.Inside
		r.owned[place{d.Zone, d.Outside.Addr}] = struct{}{}
	}
	return r, nil
}

func (s *Source) check() error {
	switch {
	case len(s.Pool) == 0 || len(s.Pool) > MaxPool:
		return fmt.Errorf("a pool of %d addresses for %s: 1 to %d", len(s.Pool), s.From, MaxPool)
	case s.Least == 0 || s.Least > s.Most:
		return fmt.Errorf("ports %d to %d for %s: from 1 on, the least first", s.Least, s.Most, s.From)
	case len(s.To) > MaxPrefixes || len(s.Except) > MaxPrefixes:
		return fmt.Errorf("more than %d prefixes of destinations for %s", MaxPrefixes, s.From)
	}
	for _, a := range s.Pool {
		if a.Is4() != s.From.Addr().Is4() {
			return fmt.Errorf("%s for %s: of two families", a, s.From)
		}
	}
	return nil
}

// Owns tells whether an address is an outside one: packets for it are to be
// translated or dropped, and the gateway answers for it.
func (r *Rules) Owns(zone uint16, a *packet.Addr) bool {
	if r == nil {
		return false
	}
	_, owns := r.owned[place{zone, *a}]
	return owns
}

// SourceFor returns the first rule for a packet to the outside; nil: it leaves
// as it is.
func (r *Rules) SourceFor(k *packet.Key) *Source {
	if r == nil {
		return nil
	}
	src, dst := k.Src.Netip(), k.Dst.Netip()
	for i := range r.sources {
		s := &r.sources[i]
		if s.Zone == k.Zone && s.From.Contains(src) && (len(s.To) == 0 || within(s.To, dst)) {
			if within(s.Except, dst) {
				return nil
			}
			return s
		}
	}
	return nil
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for i := range list {
		if list[i].Contains(a) {
			return true
		}
	}
	return false
}

// Published returns what a destination rule publishes at an outside end.
func (r *Rules) Published(zone uint16, proto uint8, outside End) (inside End, found bool) {
	if r == nil {
		return End{}, false
	}
	inside, found = r.destinations[published{zone, proto, outside}]
	return inside, found
}

// Uphold tells whether the rules would still make a mapping that others made.
func (r *Rules) Uphold(m *Mapping) bool {
	inside, is := r.Published(m.Zone, m.Proto, m.Outside)
	if m.static() || is {
		return is && m.static() && inside == m.Inside
	}
	if r == nil {
		return false
	}
	return slices.ContainsFunc(r.sources, func(s Source) bool {
		return s.Zone == m.Zone && s.From.Contains(m.Inside.Addr.Netip()) && s.has(&m.Outside)
	})
}

// has tells whether an outside end is one that the rule gives.
func (s *Source) has(e *End) bool {
	return s.Least <= e.Port && e.Port <= s.Most && slices.Contains(s.Pool, e.Addr)
}
