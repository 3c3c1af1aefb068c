package analyze

import (
	"errors"
	"fmt"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/lower"
)

// Space is what one policy, or two, speak about, cut into cells.
type Space struct {
	policies []*check.Policy
	sets     []policy.Set // the services and networks of all rules, each once
	names    []string     // of the sets, for people
	rules    []rule
	atoms    []atom
	members  []bitset // by set: its atoms
	classes  []class
	protos   []uint16 // those that a rule names, ICMP and ICMPv6, and rest
	restIs   uint8    // the protocol that stands for rest
	cells    map[string]*cell
	fromAny  []int32   // rules from anybody
	toAny    []int32   // rules to anybody
	fromSet  [][]int32 // by set: the rules from it
	toSet    [][]int32 // by set: the rules to it
	toOf     [][]int32 // by rule: the classes that it goes to, but for those to anybody
	// part says that the policies in hand are parts of others: who is in none
	// of their sets may well be in one that another rule names.
	part bool
	// apart says that endpoints have addresses apart from networks: see [LintApart].
	apart bool
	index *policy.Index // see services
}

// rule is a rule of a policy as it was lowered: sets by number.
type rule struct {
	policy   int
	at       int // in its policy's order of statements
	src      *check.Rule
	rank     uint64 // tier and priority: rules of one rank are a tie
	speaks   policy.Direction
	from, to side
	ports    []policy.Port
}

// side is one end of a rule.
type side struct {
	any  bool
	sets []int32
}

// ErrNetworks is why a policy of many services and many networks is not analysed.
var ErrNetworks = errors.New("analyse the files of fewer networks at once")

// New cuts the space of policies, one or two, into classes.
func New(policies ...*check.Policy) (*Space, error) { return newSpace(policies, policies...) }

// newSpace is New, of parts of whole policies: protocols are told apart, and
// names are given, as in the whole ones.
func newSpace(whole []*check.Policy, policies ...*check.Policy) (*Space, error) {
	return spaceOf(&Space{policies: policies, part: !slices.Equal(whole, policies)}, whole)
}

// spaceOf is newSpace, of a space that says what it is of.
func spaceOf(s *Space, whole []*check.Policy) (*Space, error) {
	s.cells = map[string]*cell{}
	known := map[string]int32{}
	for i, p := range s.policies {
		s.take(i, p, known)
	}
	if err := s.crowded(); err != nil {
		return nil, err
	}
	s.nameSets()
	s.nameProtos(whole)
	labels, err := labelAtoms(s.sets)
	if err != nil {
		return nil, err
	}
	// Whoever is outside has no labels at all, which is not the same as an
	// endpoint that has none: only the latter can be selected for a lack.
	labels = append([]labelAtom{{}}, labels...)
	addrs := addrAtoms(s.sets)
	ofEndpoints := addrs
	if s.apart {
		ofEndpoints = apart(addrs)
	}
	if n := len(addrs) + (len(labels)-1)*len(ofEndpoints); n > MaxAtoms {
		return nil, fmt.Errorf("%d classes of labels and %d of addresses combine to %d, more than %d: %w", len(labels), len(ofEndpoints), n, MaxAtoms, ErrNetworks)
	}
	s.combine(labels, addrs, ofEndpoints)
	s.classify()
	return s, nil
}

// take adds a policy's rules, and the sets that they name. A set that both
// policies define alike is one. A rule of a scope may be two: it is met by those
// who meet either.
func (s *Space) take(number int, p *check.Policy, known map[string]int32) {
	rs := lower.Policy(p, 0)
	ids := make([]int32, len(rs.Sets))
	for i, set := range rs.Sets[1:] {
		key := definition(set)
		id, found := known[key]
		if !found {
			id = int32(len(s.sets))
			known[key] = id
			s.sets = append(s.sets, set)
		}
		ids[i+1] = id
	}
	at := map[string]int{}
	for i, r := range p.Rules {
		at[r.Name] = i
	}
	for _, r := range rs.Rules {
		i, stated := at[r.Name]
		if !stated {
			continue // the default of a tier tells nobody apart; eval asks it
		}
		if r.Dormant {
			continue // at this time it says nothing
		}
		rank := uint64(r.Tier)<<32 | uint64(r.Precedence)
		s.rules = append(s.rules, rule{number, i, p.Rules[i], rank, r.Direction, sideOf(r.From, ids), sideOf(r.To, ids), r.Ports})
	}
}

func sideOf(sets []policy.SetID, ids []int32) side {
	if slices.Contains(sets, policy.Any) {
		return side{any: true}
	}
	out := side{}
	for _, id := range sets {
		out.sets = append(out.sets, ids[id])
	}
	return out
}

// nameSets names the sets for people. Where the policies mean two things by a
// name it says whose it is, whether the other's rules use theirs or not.
func (s *Space) nameSets() {
	s.names = make([]string, len(s.sets))
	for i := range s.sets {
		name := s.sets[i].Name
		s.names[i] = name
		if len(s.policies) < 2 {
			continue
		}
		a, inOld := s.policies[0].Lookup(name)
		b, inNew := s.policies[1].Lookup(name)
		if !inOld || !inNew {
			continue
		}
		old, new := definition(*lower.Set(a)), definition(*lower.Set(b))
		switch {
		case old == new:
		case old == definition(s.sets[i]):
			s.names[i] = name + " (old)"
		default:
			s.names[i] = name + " (new)"
		}
	}
}

func definition(s policy.Set) string {
	return fmt.Sprintf("%d %q %q %v %v", s.Kind, s.Name, s.Selector, s.Prefixes, s.Except)
}

// nameProtos lists the protocols that the rules of whole policies tell apart.
// ICMP and ICMPv6 are always among them: each is of one family alone.
func (s *Space) nameProtos(whole []*check.Policy) {
	var named [policy.AnyProto]bool
	named[icmp4], named[icmp6] = true, true
	for _, p := range whole {
		for _, r := range p.Rules {
			if slices.ContainsFunc(r.Ports, func(q policy.Port) bool { return q.Proto == policy.AnyProto }) {
				continue // what is named beside any says nothing
			}
			for _, q := range r.AllPorts() {
				if q.Proto != policy.AnyProto {
					named[q.Proto] = true
				}
			}
		}
	}
	for proto, is := range named {
		if is {
			s.protos = append(s.protos, uint16(proto))
		}
	}
	s.restIs = unnamed(s.protos)
	if len(s.protos) < 256 {
		s.protos = append(s.protos, rest)
	}
}

// unnamed is a protocol that is not listed, if there is one. 253 is for
// experiments (RFC 3692): it looks least as if a rule meant it.
func unnamed(protos []uint16) uint8 {
	for i := range 256 {
		n := uint8(253 - i)
		if _, named := slices.BinarySearch(protos, uint16(n)); !named {
			return n
		}
	}
	return 0
}
