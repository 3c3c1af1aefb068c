package vswitch

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// A policy is put in force for a million addresses, and what each of them is has
// to be found out. But there are not a million answers: who has the same services,
// at an address among the same networks, is the same to the policy. So each
// processor goes through a stretch of the endpoints and notes what kind each
// address is of; and then each kind is given its identity, once. Kinds are met in
// the order of the endpoints, so identities have the same numbers however many
// processors there are.

// kind is what the policy sees in an address: services, by their number in the
// stretch, and the networks around it.
type kind struct {
	services uint32
	around   int32
}

// stretch is the endpoints that one processor looks at.
type stretch struct {
	l        *linker
	crowd    *identity.Crowd
	kindOf   []uint32          // by address of the crowd
	services [][]policy.SetID  // lists, each once
	numbers  map[string]uint32 // of these, by their bytes
	kinds    []kind
	known    map[kind]uint32 // their numbers
	last     uint32          // the kind that was met last
	list     []policy.SetID
	key      []byte
}

// crowdOf has all endpoints in numbers.
func (l *linker) crowdOf(endpoints []*endpoint) (*identity.Crowd, error) {
	c := &identity.Crowd{
		Endpoints: make([]identity.Endpoint, len(endpoints)),
		Ends:      make([]uint32, len(endpoints)),
		Behind:    map[int][]netip.Prefix{},
	}
	end := uint32(0)
	for i, e := range endpoints {
		end += uint32(len(e.IPs))
		c.Ends[i] = end
		if len(e.Prefixes) > 0 {
			c.Behind[i] = e.Prefixes
		}
	}
	c.Addrs = make([]identity.Bound, end)
	kindOf := make([]uint32, end)
	parts := min(runtime.GOMAXPROCS(0), 1+len(endpoints)/1000)
	stretches, wrong := make([]*stretch, parts), make([]error, parts)
	cut := func(i int) int { return len(endpoints) * i / parts }
	var wait sync.WaitGroup
	for i := range parts {
		s := &stretch{l: l, crowd: c, kindOf: kindOf, numbers: map[string]uint32{}, known: map[kind]uint32{}}
		stretches[i] = s
		wait.Go(func() { wrong[i] = s.look(endpoints, cut(i), cut(i+1)) })
	}
	wait.Wait()
	for i, s := range stretches {
		if wrong[i] != nil {
			return nil, wrong[i] // of the first endpoint that is wrong
		}
		s.identify(cut(i), cut(i+1))
	}
	return c, nil
}

// look places the endpoints of the stretch, and notes the kinds of their addresses.
func (s *stretch) look(endpoints []*endpoint, from, to int) (err error) {
	for i := from; i < to; i++ {
		e := endpoints[i]
		s.list = s.l.servicesOf(s.list[:0], e)
		if s.crowd.Endpoints[i], err = s.l.place(e, s.list); err != nil {
			return err
		}
		services := s.number()
		for j, ip := range e.IPs {
			at := int(s.crowd.Ends[i]) - len(e.IPs) + j
			s.crowd.Addrs[at].Addr = packet.AddrFrom(ip)
			s.kindOf[at] = s.kind(kind{services, s.l.around(ip)})
		}
	}
	return nil
}

// number numbers the list in hand.
func (s *stretch) number() uint32 {
	s.key = s.key[:0]
	for _, id := range s.list {
		s.key = binary.LittleEndian.AppendUint32(s.key, uint32(id))
	}
	n, known := s.numbers[string(s.key)]
	if !known {
		n = uint32(len(s.services))
		s.numbers[string(s.key)] = n
		s.services = append(s.services, append([]policy.SetID(nil), s.list...))
	}
	return n
}

// kind numbers a kind. Most addresses of an endpoint are of the one before.
func (s *stretch) kind(k kind) uint32 {
	if len(s.kinds) > 0 && s.kinds[s.last] == k {
		return s.last
	}
	n, known := s.known[k]
	if !known {
		n = uint32(len(s.kinds))
		s.known[k], s.kinds = n, append(s.kinds, k)
	}
	s.last = n
	return n
}

// identify gives each kind its identity, and that to the addresses.
func (s *stretch) identify(from, to int) {
	ids := make([]identity.ID, len(s.kinds))
	for i, k := range s.kinds {
		ids[i] = s.l.who.ID(s.l.setsOf(s.services[k.services], k.around))
	}
	first := uint32(0)
	if from > 0 {
		first = s.crowd.Ends[from-1]
	}
	if to > from {
		for at := first; at < s.crowd.Ends[to-1]; at++ {
			s.crowd.Addrs[at].ID = ids[s.kindOf[at]]
		}
	}
}
