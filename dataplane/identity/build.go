package identity

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// Builder collects endpoints and outside prefixes for a Table.
type Builder struct {
	t       Table
	ids     map[string]ID
	outside []outsidePrefix
	behind  []behindPeer
	macs    map[uint64]uint32
	addrs   map[addrKey]uint32
	errs    []error
}

type outsidePrefix struct {
	prefix netip.Prefix
	id     ID
}

// behindPeer is the prefixes of a router and where it is.
type behindPeer struct {
	place    place
	prefixes []netip.Prefix
}

type addrKey struct {
	zone uint16
	addr packet.Addr
}

// anySets is what an address belongs to of which nothing is known.
var anySets = []uint32{0}

// NewBuilder makes a Builder that knows nobody: every address belongs to the
// set of every address, number 0, and to no other.
func NewBuilder() *Builder {
	b := &Builder{
		t:   Table{sets: [][]uint32{nil}, behind: map[uint32]*prefixes{}, remote: map[place]*prefixes{}},
		ids: map[string]ID{}, macs: map[uint64]uint32{}, addrs: map[addrKey]uint32{},
	}
	any := b.ID(anySets)
	b.outside = []outsidePrefix{{netip.MustParsePrefix("0.0.0.0/0"), any}, {netip.MustParsePrefix("::/0"), any}}
	return b
}

// ID returns the identity of a sorted list of policy sets: the same for equal
// lists.
func (b *Builder) ID(sets []uint32) ID {
	key := make([]byte, 0, 4*len(sets))
	for _, s := range sets {
		key = binary.LittleEndian.AppendUint32(key, s)
	}
	if id, known := b.ids[string(key)]; known {
		return id
	}
	id := ID(len(b.t.sets))
	b.t.sets = append(b.t.sets, slices.Clone(sets))
	b.ids[string(key)] = id
	return id
}

// Outside says which sets the addresses of a prefix belong to, but for those
// of a longer one.
func (b *Builder) Outside(prefix netip.Prefix, sets []uint32) {
	b.outside = append(b.outside, outsidePrefix{prefix.Masked(), b.ID(sets)})
}

// Endpoint adds a workload with its addresses and, if it is a router, the
// prefixes behind it.
func (b *Builder) Endpoint(e Endpoint, addrs []Address, behind []netip.Prefix) {
	n := uint32(len(b.t.endpoints))
	key := macKey(e.Segment, e.MAC)
	if other, taken := b.macs[key]; taken {
		b.errs = append(b.errs, fmt.Errorf("endpoints %q and %q have one MAC, %s, in one segment", b.t.endpoints[other].Name, e.Name, e.MAC))
	}
	b.macs[key] = n
	e.router = len(behind) > 0
	b.t.endpoints = append(b.t.endpoints, e)
	for _, a := range addrs {
		k := addrKey{e.Zone, a.Addr}
		if other, taken := b.addrs[k]; taken {
			b.errs = append(b.errs, fmt.Errorf("endpoints %q and %q have one address, %s, in one VRF", b.t.endpoints[other].Name, e.Name, a.Addr))
		}
		b.addrs[k] = n
		b.t.bindings = append(b.t.bindings, binding{a.Addr, e.Zone, n, b.ID(a.Sets)})
	}
	if e.router {
		p := newPrefixes()
		for _, prefix := range sortedByLength(behind) {
			p.insert(prefix.Masked(), 0)
		}
		b.t.behind[n] = p
		b.behind = append(b.behind, behindPeer{place{e.Peer, e.Zone}, behind})
	}
}

// buildRemote gathers the prefixes of all routers of a peer.
func (b *Builder) buildRemote(t *Table) {
	at := map[place][]netip.Prefix{}
	for _, r := range b.behind {
		if r.place.peer != NoPeer {
			at[r.place] = append(at[r.place], r.prefixes...)
		}
	}
	for where, list := range at {
		p := newPrefixes()
		for _, prefix := range sortedByLength(list) {
			p.insert(prefix.Masked(), 0)
		}
		t.remote[where] = p
	}
}

func sortedByLength(in []netip.Prefix) []netip.Prefix {
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(a, b netip.Prefix) int { return cmp.Compare(a.Bits(), b.Bits()) })
	return out
}

// Build makes the table, or says which endpoints contradict each other.
func (b *Builder) Build() (*Table, error) {
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	t := b.t
	slices.SortStableFunc(b.outside, func(x, y outsidePrefix) int { return cmp.Compare(x.prefix.Bits(), y.prefix.Bits()) })
	t.outside = *newPrefixes()
	for _, o := range b.outside {
		t.outside.insert(o.prefix, uint32(o.id))
	}
	b.buildRemote(&t)
	t.macs = buildIndex(len(t.endpoints), func(s *hashtab.Secret, i int) uint64 {
		return s.Word(macKey(t.endpoints[i].Segment, t.endpoints[i].MAC))
	})
	// Endpoints behind peers are on no port; what marks them apart here is
	// their segment, and no port's number is as high.
	t.ports = buildIndex(len(t.endpoints), func(s *hashtab.Secret, i int) uint64 {
		e := &t.endpoints[i]
		if e.Port == packet.NoPort {
			return s.Pair(macKey(e.Segment, e.MAC), 1)
		}
		return s.Word(macKey(uint16(e.Port), e.MAC))
	})
	t.addrs = buildIndex(len(t.bindings), func(s *hashtab.Secret, i int) uint64 {
		return s.Addr((*[16]byte)(&t.bindings[i].addr), uint64(t.bindings[i].zone))
	})
	return &t, nil
}
