// Package route knows where a packet goes that was sent to a gateway: the
// longest prefix of its VRF, and the MAC of a next hop on the underlay.
//
// A [Table] is built off the path and never changed; any number of workers
// read it. Its longest-prefix match is that of gaissmai/bart, a multibit trie
// without backtracking to the heap: a look-up allocates nothing, and IPv6
// costs about what IPv4 does.
package route

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"

	"bulkhead/dataplane/packet"
)

// Next is where a route leads.
type Next struct {
	// Connected: the destination is on Segment itself.
	Connected bool
	Segment   uint16
	// Via is the next hop's address, on Segment; not valid if Connected. Where there
	// are several next hops, it is the first.
	Via packet.Addr

	group     *group // of several next hops; nil: there is one
	blackhole bool
}

// Table is the routes of every VRF. The zero value has none.
//
// A trie's values are pointers, and prefixes that lead the same way share one: a
// look-up copies nothing, and of a hundred thousand routes by way of one router the
// leaves fit the cache (BenchmarkLookup).
type Table struct {
	zones []*bart.Table[*Next] // by VRF; nil: it has none
}

// Lookup finds the longest prefix around dst; a blackhole is not found. What it
// returns is the table's own, and not to be changed.
func (t *Table) Lookup(zone uint16, dst *packet.Addr) (*Next, bool) {
	if int(zone) >= len(t.zones) || t.zones[zone] == nil {
		return nil, false
	}
	routes := t.zones[zone]
	next, found := routes.Lookup(dst.Netip())
	return next, found && !next.blackhole
}

// Builder collects routes for a Table.
type Builder struct {
	zones   []*bart.Table[*Next]
	statics []static
	shared  map[Next]*Next // those without a group
}

type static struct {
	zone   uint16
	prefix netip.Prefix
	via    netip.Addr
}

// NewBuilder makes a Builder without routes.
func NewBuilder() *Builder { return &Builder{shared: map[Next]*Next{}} }

func (b *Builder) zone(zone uint16) *bart.Table[*Next] {
	for int(zone) >= len(b.zones) {
		b.zones = append(b.zones, nil)
	}
	if b.zones[zone] == nil {
		b.zones[zone] = new(bart.Table[*Next])
	}
	return b.zones[zone]
}

// share returns the one copy of a way.
func (b *Builder) share(n Next) *Next {
	if b.shared[n] == nil {
		b.shared[n] = &n
	}
	return b.shared[n]
}

// Connected adds the prefix of a segment.
func (b *Builder) Connected(zone uint16, prefix netip.Prefix, segment uint16) {
	b.zone(zone).Insert(prefix.Masked(), b.share(Next{Connected: true, Segment: segment}))
}

// Static adds a route by way of a next hop on a connected prefix. Several of one
// prefix are one route with several next hops, at most MaxHops.
func (b *Builder) Static(zone uint16, prefix netip.Prefix, via netip.Addr) {
	b.statics = append(b.statics, static{zone, prefix.Masked(), via})
}

// Blackhole adds a prefix that leads nowhere.
func (b *Builder) Blackhole(zone uint16, prefix netip.Prefix) {
	b.zone(zone).Insert(prefix.Masked(), b.share(Next{blackhole: true}))
}

// Build makes the table, or says which static routes have a next hop that is
// on no connected prefix or of the other family.
func (b *Builder) Build() (*Table, error) {
	resolved := make([]Next, len(b.statics))
	var errs []error
	for i := range b.statics {
		var err error
		resolved[i], err = b.resolve(&b.statics[i])
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i, s := range b.statics {
		if err := b.insert(&s, resolved[i]); err != nil {
			return nil, err
		}
	}
	return &Table{zones: b.zones}, nil
}

// insert adds a static route, or its next hop to the route that is there.
func (b *Builder) insert(s *static, next Next) error {
	zone := b.zone(s.zone)
	was, there := zone.Get(s.prefix)
	if !there || was.Connected || was.blackhole {
		zone.Insert(s.prefix, b.share(next))
		return nil
	}
	if was.group == nil {
		several := *was // other prefixes share it
		several.group = new(group)
		several.group.add(was.Via)
		was = &several
		zone.Insert(s.prefix, was)
	}
	if !was.group.add(next.Via) {
		return fmt.Errorf("route %s: more than %d next hops", s.prefix, MaxHops)
	}
	return nil
}

// resolve finds the segment of a static route's next hop.
func (b *Builder) resolve(s *static) (Next, error) {
	if s.prefix.Addr().Is4() != s.via.Is4() {
		return Next{}, fmt.Errorf("route %s via %s: the next hop is of the other family", s.prefix, s.via)
	}
	hop, found := b.zone(s.zone).Lookup(s.via)
	if !found || !hop.Connected {
		return Next{}, fmt.Errorf("route %s via %s: the next hop is in no segment of the VRF; add a gateway prefix around it", s.prefix, s.via)
	}
	return Next{Segment: hop.Segment, Via: packet.AddrFrom(s.via)}, nil
}
