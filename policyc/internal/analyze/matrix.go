package analyze

import (
	"cmp"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// Matrix is what each of some ends may connect to each other end on.
type Matrix struct {
	Ends  []End
	Cells []Row // from, to
}

// Row is what an end may connect to others on, by their numbers: of whom nothing is
// allowed there is no entry. Of 10,000 services each knows a few.
type Row map[int]Allowed

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

// MaxEnds bounds the ends of a table or a drawing: nobody can look at more.
const MaxEnds = 2000

// MatrixOf asks for each pair of ends; or only for some ends, if of says which, whoever
// they may connect to, and whoever may connect to them. There are no ends then if of
// says so of none. A service is an endpoint with exactly its labels, at an address of no network;
// a network is whoever is in it and has no labels; both as in query. So endpoints at
// addresses of networks, of which there are as many kinds as the product of both, need
// not be told apart.
//
// It asks at most [MaxPairs] pairs.
func MatrixOf(p *check.Policy, of func(End) bool) (*Matrix, error) {
	whole := []*check.Policy{p}
	s, err := spaceOf(&Space{policies: whole, apart: true}, whole)
	if err != nil {
		return nil, err
	}
	m := &Matrix{Ends: s.ends(p)}
	m.Cells = make([]Row, len(m.Ends))
	for i := range m.Cells {
		m.Cells[i] = Row{}
	}
	x := s.newMeetings(m)
	if of == nil {
		return m, x.ask(func(_, _ int) bool { return true })
	}
	is := make([]bool, len(m.Ends))
	for i, e := range m.Ends {
		is[i] = of(e)
	}
	if err := x.ask(func(i, j int) bool { return is[i] || is[j] }); err != nil {
		return nil, err
	}
	near := m.near(is)
	if err := x.ask(func(i, j int) bool { return near[i] && near[j] && !is[i] && !is[j] }); err != nil {
		return nil, err
	}
	return m.leave(near), nil
}

// ends are the rows of a policy, in order.
func (s *Space) ends(p *check.Policy) []End {
	var out []End
	for _, x := range p.Services {
		out = append(out, End{x.Name, "service", s.endpointsOf(p, x)})
	}
	for _, n := range p.Networks {
		out = append(out, End{n.Name, "network", s.addressesOf(n)})
	}
	slices.SortStableFunc(out, func(a, b End) int {
		return cmp.Or(-strings.Compare(a.Kind, b.Kind), strings.Compare(a.Scope(), b.Scope()), strings.Compare(a.Name, b.Name))
	})
	if slices.ContainsFunc(s.sets, func(set policy.Set) bool { return set.Name == check.Host.Name }) {
		out = append(out, End{check.Host.Name, "host", s.endpointsOf(p, check.Host)})
	}
	return append(out, End{"outside", "outside", s.outside()})
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
