package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// Matrix is what each of some ends may connect to each other end on.
type Matrix struct {
	Ends  []End
	Cells [][]Allowed // from, to
}

// End is a row and a column: a service, a network, the hosts if a rule names
// them, or whoever is outside of all: an address of no endpoint and no network.
type End struct {
	Name, Kind string // service, network, host, outside
	subjects   []*known
}

// Allowed is what one end may connect to another on. A network may be of
// several minds: Part says that some of it may on more.
type Allowed struct {
	Ports []string
	Part  bool
}

// Text writes the ports, and "part" where some of an end may on more.
func (a Allowed) Text() string {
	words := a.Ports
	if a.Part {
		words = append(slices.Clone(words), "part")
	}
	return strings.Join(words, " ")
}

// MaxEnds bounds the ends of a matrix: it has a cell a pair, and nobody can look
// at more.
const MaxEnds = 2000

// Matrix asks for each pair of ends. A service is an endpoint with exactly its
// labels, at an address of no network; a network is whoever is in it and has no
// labels; both as in query.
func (s *Space) Matrix() (*Matrix, error) {
	p := s.policies[0]
	if n := len(p.Services) + len(p.Networks); n > MaxEnds {
		return nil, fmt.Errorf("a table of %d services and networks is more than the %d that can be shown: ask about one by query --from or --to", n, MaxEnds)
	}
	m := &Matrix{}
	for _, x := range p.Services {
		m.Ends = append(m.Ends, End{x.Name, "service", s.endpointsOf(p, x)})
	}
	for _, n := range p.Networks {
		m.Ends = append(m.Ends, End{n.Name, "network", s.addressesOf(n)})
	}
	slices.SortStableFunc(m.Ends, func(a, b End) int {
		return cmp.Or(-strings.Compare(a.Kind, b.Kind), strings.Compare(a.scope(), b.scope()), strings.Compare(a.Name, b.Name))
	})
	if slices.ContainsFunc(s.sets, func(set policy.Set) bool { return set.Name == check.Host.Name }) {
		m.Ends = append(m.Ends, End{check.Host.Name, "host", s.endpointsOf(p, check.Host)})
	}
	m.Ends = append(m.Ends, End{"outside", "outside", s.outside()})
	for _, from := range m.Ends {
		var row []Allowed
		for _, to := range m.Ends {
			row = append(row, s.meet(from, to))
		}
		m.Cells = append(m.Cells, row)
	}
	return m, nil
}

// endpointsOf is an endpoint with exactly a service's labels; where no labels
// are just those, one of each kind that the service has.
func (s *Space) endpointsOf(p *check.Policy, x *check.Service) []*known {
	if subject, problem := p.Subject(x.Name); problem == nil {
		return []*known{s.know(subject)}
	}
	var out []*known
	for i := range s.atoms {
		a := &s.atoms[i]
		in := slices.ContainsFunc(a.sets, func(set int32) bool { return s.sets[set].Name == x.Name })
		if a.labels != nil && len(a.witness.sets) == 0 && in {
			out = append(out, s.know(check.Subject{Labels: a.labels}))
		}
	}
	return out
}

// addressesOf is an address of each kind that a network has.
func (s *Space) addressesOf(n *check.Network) []*known {
	return s.addresses(func(a *atom) bool {
		return slices.ContainsFunc(a.sets, func(set int32) bool { return s.sets[set].Name == n.Name })
	})
}

func (s *Space) outside() []*known {
	return s.addresses(func(a *atom) bool { return len(a.witness.sets) == 0 && !a.witness.inside })
}

func (s *Space) addresses(wanted func(*atom) bool) []*known {
	var out []*known
	for i := range s.atoms {
		a := &s.atoms[i]
		if a.labels != nil || !wanted(a) {
			continue
		}
		for f := v4; f <= v6; f++ {
			if a.witness.families().has(f) {
				out = append(out, s.know(a.subject(f, oneEnd)))
			}
		}
	}
	return out
}

// meet asks for each pair of two ends' subjects that can meet. A protocol that
// is of one family is asked of that family alone.
func (s *Space) meet(from, to End) Allowed {
	common := map[uint16][]Span{}
	var m families
	part := false
	for _, a := range from.subjects {
		for _, b := range to.subjects {
			if f := a.families & b.families; f != 0 {
				m |= f
				part = s.narrow(common, s.cellOf(a, b), f) || part
			}
		}
	}
	var all []Span
	for _, spans := range common {
		all = append(all, spans...)
	}
	return Allowed{s.portWords(all, m), part}
}

// narrow keeps of each protocol what a cell allows as well, and tells whether
// the two were of one mind.
func (s *Space) narrow(common map[uint16][]Span, c *cell, m families) (differ bool) {
	allowed := map[uint16][]Span{}
	for _, p := range c.pieces {
		if p.allow[0] {
			allowed[p.Proto] = append(allowed[p.Proto], p.Span)
		}
	}
	for _, proto := range s.protos {
		if whole(proto).families()&m == 0 {
			continue
		}
		now := join(allowed[proto])
		if was, asked := common[proto]; asked && !slices.Equal(was, now) {
			differ, now = true, overlap(was, now)
		}
		common[proto] = now
	}
	return differ
}

// overlap is what is in both of two lists of one protocol's spans.
func overlap(a, b []Span) []Span {
	var out []Span
	for _, x := range a {
		for _, y := range b {
			if both, some := x.and(y); some {
				out = append(out, both)
			}
		}
	}
	return join(out)
}
