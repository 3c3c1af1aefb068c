// Package identity knows who is who: which MAC and addresses are bound to a
// port, and what the policy sees in an address.
//
// An identity is the set of policy sets (services and networks) that an
// address belongs to. It is a small number, so the policy judges numbers; two
// addresses of one identity are treated alike. An endpoint's addresses are
// found exactly; every other address by its longest prefix among the outside
// networks.
//
// # Versions
//
// A [Table] is built off the path and never changed; any number of workers read
// it. Its hash tables are keyed, and no look-up takes more than 16 probes.
// Nothing here allocates but the Builder.
//
// A [Builder] goes on where its last Table ended: one endpoint that comes, goes
// or changes costs what it is, and a directory of pages, not the million others
// (package paged). A row or an identity that nobody has any more is used again,
// so that a table is as large as it ever had to be, however many came and went.
// The exception are routers: one that comes or goes costs what all routers of
// its peer are. Those who are there at first are put in all at once ([Builder.Load]),
// on all processors: a fifth of the time.
package identity

import (
	"iter"

	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/paged"
	"bulkhead/dataplane/packet"
)

// ID is an identity. Zero is nobody's: no rule can name it, not even one for
// any.
type ID uint32

// None is nobody's identity.
const None ID = 0

// NoPeer is the peer of an endpoint of this host.
const NoPeer = 0xffff

// Endpoint is a workload at its place.
type Endpoint struct {
	Name    string
	Segment uint16
	Zone    uint16
	MAC     packet.MAC
	Port    packet.PortID // NoPort if it is behind a peer
	Peer    uint16        // NoPeer if it is on a port
	Group   uint16        // the group that its frames carry in a tunnel; 0: none
	Marks   uint32        // whom mirrors look for; of no meaning to the policy
	router  bool          // prefixes are bound behind it, too
	used    bool          // else nobody is here
	first   uint32        // its first binding, plus one; 0: it has none
}

// Address is one address of an endpoint, and the policy sets it belongs to.
type Address struct {
	Addr packet.Addr
	Sets []uint32
}

// Table is who is who. See the package comment.
type Table struct {
	endpoints paged.Vector[Endpoint]
	count     int                    // of endpoints
	sets      paged.Vector[[]uint32] // by ID; those of 0 are nil
	ids       int                    // IDs are below
	secret    hashtab.Secret         // of the indexes
	macs      paged.Index            // segment, MAC -> endpoint
	addrs     paged.Index            // zone, address -> binding
	ports     paged.Index            // port, segment, MAC -> endpoint
	bindings  paged.Vector[binding]
	near      paged.Vector[uint32] // by half of an IPv4 address: the bindings there
	outside   *prefixes            // -> ID
	behind    map[uint32]*prefixes
	remote    map[place]*prefixes // what is behind routers of a peer
	grouped   map[grouped]ID      // of strangers whom a tunnel says a group of
}

// place is a VRF at a peer.
type place struct{ peer, zone uint16 }

// binding ties an address to its endpoint. It has a copy of where that is, so
// that a packet's source is vouched for without a look at the endpoint: one miss
// less, where a table is larger than the cache (BenchmarkSource).
type binding struct {
	addr     packet.Addr
	mac      packet.MAC
	zone     uint16
	port     packet.PortID
	segment  uint16
	endpoint uint32
	id       ID
	next     uint32 // the endpoint's next one, plus one; 0: that was all
}

// Endpoint returns endpoint number i, as other methods return it.
func (t *Table) Endpoint(i uint32) *Endpoint { return t.endpoints.At(i) }

// Len returns the number of endpoints.
func (t *Table) Len() int { return t.count }

// All goes through the endpoints, by number. A number is used again when its
// endpoint has gone.
func (t *Table) All() iter.Seq2[uint32, *Endpoint] {
	return func(yield func(uint32, *Endpoint) bool) {
		for i := range uint32(t.endpoints.Len()) {
			if e := t.endpoints.At(i); e.used && !yield(i, e) {
				return
			}
		}
	}
}

// Sets returns the policy sets of an identity, sorted.
func (t *Table) Sets(id ID) []uint32 {
	if int(id) >= t.ids {
		return nil
	}
	return *t.sets.At(uint32(id))
}

// AllSets returns the policy sets of every identity, by ID.
func (t *Table) AllSets() [][]uint32 {
	all := make([][]uint32, t.ids)
	for id := range all {
		all[id] = *t.sets.At(uint32(id))
	}
	return all
}

func macKey(segment uint16, mac packet.MAC) uint64 { return uint64(segment)<<48 | mac.Uint64() }

// ByMAC finds the endpoint of a MAC in a segment.
func (t *Table) ByMAC(segment uint16, mac packet.MAC) (uint32, bool) {
	return t.macs.Find(t.secret.Word(macKey(segment, mac)), func(i uint32) bool {
		e := t.endpoints.At(i)
		return e.MAC == mac && e.Segment == segment
	})
}

// onPort finds the endpoint of a MAC on a port, in a segment: a trunk is in
// several, and a host there may have one MAC in all of them.
func (t *Table) onPort(port packet.PortID, segment uint16, mac packet.MAC) (uint32, bool) {
	return t.ports.Find(portHash(&t.secret, port, segment, mac), func(i uint32) bool {
		e := t.endpoints.At(i)
		return e.MAC == mac && e.Port == port && e.Segment == segment
	})
}

// portHash differs from the hash of a MAC in a segment: one secret serves both.
func portHash(secret *hashtab.Secret, port packet.PortID, segment uint16, mac packet.MAC) uint64 {
	return secret.Pair(macKey(uint16(port), mac), 1<<16|uint64(segment))
}

// binding finds the binding of an address in a VRF; nil: nobody has it.
func (t *Table) binding(zone uint16, a *packet.Addr) *binding {
	var b *binding // that was looked at last
	_, found := t.addrs.Find(t.secret.Addr((*[16]byte)(a), uint64(zone)), func(i uint32) bool {
		b = t.bindings.At(i)
		return b.addr == *a && b.zone == zone
	})
	if !found {
		return nil
	}
	return b
}

// ByAddr finds the endpoint of an address in a VRF, and the address's identity.
func (t *Table) ByAddr(zone uint16, a *packet.Addr) (endpoint uint32, id ID, found bool) {
	if b := t.binding(zone, a); b != nil {
		return b.endpoint, b.id, true
	}
	return 0, None, false
}

// Identify returns what the policy sees in any address: an endpoint's
// identity, or that of the outside networks around it.
func (t *Table) Identify(zone uint16, a *packet.Addr) (id ID, endpoint bool) {
	if t.mayBind(a) {
		if b := t.binding(zone, a); b != nil {
			return b.id, true
		}
	}
	v, _ := t.outside.lookup(a)
	return ID(v), false
}

// mayBind tells whether it is worth to look for the binding of an address. Most
// addresses outside are of networks in which no endpoint is, and the answer is at
// hand, where the hash of an address and the line that it leads to are not
// (BenchmarkOutside).
func (t *Table) mayBind(a *packet.Addr) bool {
	if !a.Is4() {
		return t.count > 0
	}
	return t.isNear(a)
}

// isNear is mayBind of an IPv4 address.
func (t *Table) isNear(a *packet.Addr) bool {
	half := uint32(a[12])<<8 | uint32(a[13])
	return t.near.Has(half) && *t.near.At(half) != 0
}

// BoundMAC tells whether a MAC may send from a port into a segment.
func (t *Table) BoundMAC(port packet.PortID, segment uint16, mac packet.MAC) bool {
	_, found := t.onPort(port, segment, mac)
	return found
}

// Source tells whether a MAC may send from an address on a port into a segment,
// which is of the zone, and returns the address's identity. A router may send
// from the prefixes behind it, as long as no endpoint holds the address.
func (t *Table) Source(port packet.PortID, segment uint16, mac packet.MAC, zone uint16, a *packet.Addr) (ID, bool) {
	if b := t.binding(zone, a); b != nil {
		return b.id, b.port == port && b.segment == segment && b.mac == mac
	}
	ep, found := t.onPort(port, segment, mac)
	if !found || !t.endpoints.At(ep).router || t.endpoints.At(ep).Zone != zone {
		return None, false
	}
	if _, within := t.behind[ep].lookup(a); !within {
		return None, false
	}
	v, _ := t.outside.lookup(a)
	return ID(v), true
}

// RemoteSource tells whether a peer may send from an address, and returns the
// address's identity: an endpoint behind the peer has it, or a router there has
// its prefix. mac is the sender's in the segment; routed says that a gateway
// sent it on, which hides the sender's.
func (t *Table) RemoteSource(peer, segment uint16, mac packet.MAC, routed bool, zone uint16, a *packet.Addr) (id ID, known, bound bool) {
	if ep, id, found := t.ByAddr(zone, a); found {
		e := t.endpoints.At(ep)
		return id, true, e.Peer == peer && (routed || e.MAC == mac && e.Segment == segment)
	}
	v, _ := t.outside.lookup(a)
	if routed {
		_, bound = t.remote[place{peer, zone}].lookup(a)
		return ID(v), false, bound
	}
	ep, found := t.ByMAC(segment, mac)
	return ID(v), false, found && t.endpoints.At(ep).Peer == peer && t.Owns(ep, zone, a)
}

// Owns tells whether packets for an address may be given to an endpoint: it is
// the endpoint's, or behind it and no other's.
func (t *Table) Owns(endpoint uint32, zone uint16, a *packet.Addr) bool {
	if ep, _, found := t.ByAddr(zone, a); found {
		return ep == endpoint
	}
	e := t.endpoints.At(endpoint)
	if !e.router || e.Zone != zone {
		return false
	}
	_, within := t.behind[endpoint].lookup(a)
	return within
}

// IsLinkLocalOf tells whether an address is the link-local one that a MAC's
// owner makes for itself of the MAC (RFC 4291 appendix A).
func IsLinkLocalOf(a *packet.Addr, mac packet.MAC) bool {
	return *a == packet.Addr{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
}

// BoundLinkLocal tells whether an address is that link-local one of a MAC that
// is bound to the port in the segment.
func (t *Table) BoundLinkLocal(port packet.PortID, segment uint16, mac packet.MAC, a *packet.Addr) bool {
	return IsLinkLocalOf(a, mac) && t.BoundMAC(port, segment, mac)
}
