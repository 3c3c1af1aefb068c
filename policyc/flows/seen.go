package flows

import "net/netip"

// maxSeen bounds the connections that are remembered, twice: some 100 MiB.
const maxSeen = 1 << 19

// seen remembers connections, so that a later packet of one does not count as
// another. When it is full it forgets the older half: a packet of what was
// forgotten counts anew.
type seen struct{ young, old map[key]struct{} }

type key struct {
	a, b   netip.Addr
	pa, pb uint16
	proto  uint8
}

// keyOf is the same for both directions. An ICMP message has no port of its
// own: type and code are part of it either way.
func keyOf(f *Flow) key {
	k := key{f.Src, f.Dst, f.Sport, f.Dport, f.Proto}
	if f.Proto == icmp || f.Proto == icmpv6 {
		return k
	}
	if c := k.a.Compare(k.b); c > 0 || c == 0 && k.pa > k.pb {
		k.a, k.b, k.pa, k.pb = k.b, k.a, k.pb, k.pa
	}
	return k
}

// first tells whether a connection is new, and remembers it.
func (s *seen) first(f *Flow) bool {
	k := keyOf(f)
	if _, known := s.young[k]; known {
		return false
	}
	_, known := s.old[k]
	if s.young == nil || len(s.young) >= maxSeen {
		s.old, s.young = s.young, map[key]struct{}{}
	}
	s.young[k] = struct{}{}
	return !known
}
