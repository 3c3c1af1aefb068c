package identity

import (
	"net/netip"

	"bulkhead/dataplane/internal/paged"
	"bulkhead/dataplane/packet"
)

// Bound is an address and its identity, which the Builder has numbered (ID).
type Bound struct {
	Addr packet.Addr
	ID   ID
}

// Crowd is many endpoints that are to be in the first table of a Builder.
type Crowd struct {
	Endpoints []Endpoint
	Addrs     []Bound                // of the first endpoint, then of the next one
	Ends      []uint32               // by endpoint: where its addresses end
	Behind    map[int][]netip.Prefix // of those that are routers
}

func (c *Crowd) addrs(endpoint int) []Bound {
	first := uint32(0)
	if endpoint > 0 {
		first = c.Ends[endpoint-1]
	}
	return c.Addrs[first:c.Ends[endpoint]]
}

// Load adds a crowd, as Endpoint of one after the other would. Nobody else may be
// here yet.
//
// All are put into the tables at once, and these tell if two have one key. Who they
// are is asked only then, one by one: so to be sure that no two endpoints of a
// million contradict each other costs no look-up (BenchmarkCrowd).
func (b *Builder) Load(c *Crowd) {
	if b.count == 0 && b.last == nil && b.loadAll(c) {
		return
	}
	for i := range c.Endpoints {
		var addrs []Address
		for _, a := range c.addrs(i) {
			addrs = append(addrs, Address{a.Addr, *b.sets.At(uint32(a.ID))})
		}
		b.Endpoint(c.Endpoints[i], addrs, c.Behind[i])
	}
}

// loadAll is Load of a crowd without contradictions; else nobody is here after it.
func (b *Builder) loadAll(c *Crowd) bool {
	behind := 0
	for _, list := range c.Behind {
		behind += len(list)
	}
	if behind > MaxPrefixes {
		return false
	}
	b.fill(c)
	if !b.index(c) {
		b.clear()
		return false
	}
	b.rows.next, b.ties.next, b.count = uint32(len(c.Endpoints)), uint32(len(c.Addrs)), len(c.Endpoints)
	for _, a := range c.Addrs {
		b.uses[a.ID]++
	}
	b.fillNear(c)
	for i, list := range c.Behind {
		if len(list) > 0 {
			b.routers.add(uint32(i), place{c.Endpoints[i].Peer, c.Endpoints[i].Zone}, list)
		}
	}
	return true
}

// fill makes the rows of endpoints and of their addresses.
func (b *Builder) fill(c *Crowd) {
	b.endpoints.Fill(len(c.Endpoints), func(i uint32, row *Endpoint) {
		*row = c.Endpoints[i]
		row.used, row.router, row.first = true, len(c.Behind[int(i)]) > 0, 0
		if n := len(c.addrs(int(i))); n > 0 {
			row.first = c.Ends[i] - uint32(n) + 1
		}
	})
	owners := make([]uint32, len(c.Addrs))
	for i := range c.Endpoints {
		end := c.Ends[i]
		for at := end - uint32(len(c.addrs(i))); at < end; at++ {
			owners[at] = uint32(i)
		}
	}
	b.bindings.Fill(len(c.Addrs), func(i uint32, row *binding) {
		e := &c.Endpoints[owners[i]]
		*row = binding{c.Addrs[i].Addr, e.MAC, e.Zone, e.Port, e.Segment, owners[i], c.Addrs[i].ID, 0}
		if i+1 < c.Ends[owners[i]] {
			row.next = i + 2
		}
	})
}

// index makes the indexes, and tells whether that was possible.
func (b *Builder) index(c *Crowd) bool {
	all, onPorts := make([]uint32, max(len(c.Endpoints), len(c.Addrs))), make([]uint32, 0, len(c.Endpoints))
	for i := range all {
		all[i] = uint32(i)
	}
	for i := range c.Endpoints {
		if c.Endpoints[i].Port != packet.NoPort {
			onPorts = append(onPorts, uint32(i))
		}
	}
	for _, x := range []struct {
		index   *paged.IndexEditor
		numbers []uint32
		same    func(i, j uint32) bool
	}{
		{&b.macs, all[:len(c.Endpoints)], func(i, j uint32) bool {
			x, y := b.endpoints.At(i), b.endpoints.At(j)
			return x.MAC == y.MAC && x.Segment == y.Segment
		}},
		{&b.addrs, all[:len(c.Addrs)], func(i, j uint32) bool {
			x, y := b.bindings.At(i), b.bindings.At(j)
			return x.addr == y.addr && x.zone == y.zone
		}},
		// Two of a port with one MAC are of two segments, or the first index has told.
		{&b.ports, onPorts, func(i, j uint32) bool { return false }},
	} {
		if twins, err := x.index.Load(x.numbers, x.same); twins || err != nil {
			return false
		}
	}
	return true
}

// fillNear counts the addresses that are bound near each other.
func (b *Builder) fillNear(c *Crowd) {
	var near [1 << 16]uint32
	for i := range c.Addrs {
		if a := &c.Addrs[i].Addr; a.Is4() {
			near[pieceOf(a, 6)]++
		}
	}
	for half, n := range near {
		if n > 0 {
			*b.near.Edit(uint32(half)) = n
		}
	}
}
