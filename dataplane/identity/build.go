package identity

import (
	"errors"
	"fmt"
	"net/netip"

	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/paged"
	"bulkhead/dataplane/packet"
)

// Builder collects endpoints and outside prefixes for a Table, and for the next
// one that differs from it. It belongs to one goroutine at a time. Once it has
// returned an error of Build or Next it makes no table any more.
type Builder struct {
	numbers // of the lists of sets
	secret  hashtab.Secret

	endpoints  paged.VectorEditor[Endpoint]
	bindings   paged.VectorEditor[binding]
	near       paged.VectorEditor[uint32]
	rows, ties rows // of endpoints, of bindings
	count      int  // of endpoints
	macs       paged.IndexEditor
	addrs      paged.IndexEditor
	ports      paged.IndexEditor

	outside outside
	routers routers
	grouped map[grouped]ID
	touched []addrKey // addresses that came or went since the last table
	last    *Table
	errs    []error
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
	b := &Builder{numbers: newNumbers(), secret: hashtab.NewSecret(), routers: newRouters()}
	b.clear()
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		b.Outside(netip.MustParsePrefix(all), anySets)
	}
	return b
}

// clear has no endpoint in any table.
func (b *Builder) clear() {
	b.endpoints, b.bindings, b.near = paged.VectorEditor[Endpoint]{}, paged.VectorEditor[binding]{}, paged.VectorEditor[uint32]{}
	b.macs = paged.NewIndexEditor(func(i uint32) uint64 {
		e := b.endpoints.At(i)
		return b.secret.Word(macKey(e.Segment, e.MAC))
	})
	b.ports = paged.NewIndexEditor(func(i uint32) uint64 {
		e := b.endpoints.At(i)
		return portHash(&b.secret, e.Port, e.Segment, e.MAC)
	})
	b.addrs = paged.NewIndexEditor(func(i uint32) uint64 {
		t := b.bindings.At(i)
		return b.secret.Addr((*[16]byte)(&t.addr), uint64(t.zone))
	})
}

// Outside says which sets the addresses of a prefix belong to, but for those
// of a longer one.
func (b *Builder) Outside(prefix netip.Prefix, sets []uint32) {
	switch {
	case len(b.outside.list) < MaxPrefixes:
		b.outside.add(prefix.Masked(), b.use(sets))
	case !b.outside.full: // said once: there may be millions beyond
		b.outside.full = true
		b.errs = append(b.errs, fmt.Errorf("%s is one prefix more than the %d that there may be: name fewer networks", prefix, MaxPrefixes))
	}
}

// Endpoint adds a workload with its addresses and, if it is a router, the
// prefixes behind it. What contradicts another endpoint is told by Build.
func (b *Builder) Endpoint(e Endpoint, addrs []Address, behind []netip.Prefix) {
	if err := b.Add(e, addrs, behind); err != nil {
		b.errs = append(b.errs, err)
	}
}

// Add is Endpoint, but for contradictions: they are told at once, and nothing
// is added.
func (b *Builder) Add(e Endpoint, addrs []Address, behind []netip.Prefix) error {
	if err := b.check(&e, addrs, nobody); err != nil {
		return err
	}
	if err := b.room(&e, len(behind), 0); err != nil {
		return err
	}
	b.insert(e, addrs, behind)
	return nil
}

// Replace puts an endpoint in the place of that which has a MAC in a segment:
// the same one elsewhere, or with other addresses or sets. If it contradicts
// others nothing is changed.
func (b *Builder) Replace(segment uint16, mac packet.MAC, e Endpoint, addrs []Address, behind []netip.Prefix) error {
	n, found := b.byMAC(segment, mac)
	if !found {
		return fmt.Errorf("no endpoint has MAC %s in segment %d", mac, segment)
	}
	if err := b.check(&e, addrs, n); err != nil {
		return err
	}
	if err := b.room(&e, len(behind), len(b.routers.of[n].prefixes)); err != nil {
		return err
	}
	b.remove(n)
	b.insert(e, addrs, behind)
	return nil
}

// Remove takes out the endpoint that has a MAC in a segment.
func (b *Builder) Remove(segment uint16, mac packet.MAC) error {
	n, found := b.byMAC(segment, mac)
	if !found {
		return fmt.Errorf("no endpoint has MAC %s in segment %d", mac, segment)
	}
	b.remove(n)
	return nil
}

// nobody is the number of no endpoint.
const nobody = ^uint32(0)

// check says what an endpoint has that others have, too; but for one that it is
// to replace.
func (b *Builder) check(e *Endpoint, addrs []Address, but uint32) error {
	var errs []error
	if other, taken := b.byMAC(e.Segment, e.MAC); taken && other != but {
		errs = append(errs, fmt.Errorf("endpoints %q and %q have one MAC, %s, in one segment", b.endpoints.At(other).Name, e.Name, e.MAC))
	}
	for i := range addrs {
		name, taken := e.Name, false
		for j := range addrs[:i] {
			taken = taken || addrs[j].Addr == addrs[i].Addr
		}
		if at, bound := b.byAddr(e.Zone, &addrs[i].Addr); bound && b.bindings.At(at).endpoint != but {
			name, taken = b.endpoints.At(b.bindings.At(at).endpoint).Name, true
		}
		if taken {
			errs = append(errs, fmt.Errorf("endpoints %q and %q have one address, %s, in one VRF", name, e.Name, addrs[i].Addr))
		}
	}
	return errors.Join(errs...)
}

// room says that there is none for the prefixes of an endpoint, where so many go.
func (b *Builder) room(e *Endpoint, come, gone int) error {
	if b.routers.prefixes-gone+come > MaxPrefixes {
		return fmt.Errorf("endpoint %q: with its prefixes there are more behind endpoints than the %d that there may be", e.Name, MaxPrefixes)
	}
	return nil
}

func (b *Builder) byMAC(segment uint16, mac packet.MAC) (uint32, bool) {
	return b.macs.Find(b.secret.Word(macKey(segment, mac)), func(i uint32) bool {
		e := b.endpoints.At(i)
		return e.MAC == mac && e.Segment == segment
	})
}

func (b *Builder) byAddr(zone uint16, a *packet.Addr) (uint32, bool) {
	return b.addrs.Find(b.secret.Addr((*[16]byte)(a), uint64(zone)), func(i uint32) bool {
		t := b.bindings.At(i)
		return t.addr == *a && t.zone == zone
	})
}

// insert adds an endpoint that contradicts nobody.
func (b *Builder) insert(e Endpoint, addrs []Address, behind []netip.Prefix) {
	n := b.rows.take()
	e.used, e.router, e.first = true, len(behind) > 0, 0
	*b.endpoints.Edit(n) = e
	b.put(&b.macs, n)
	if e.Port != packet.NoPort {
		b.put(&b.ports, n)
	}
	first := uint32(0)
	for i := len(addrs) - 1; i >= 0; i-- {
		at := b.ties.take()
		*b.bindings.Edit(at) = binding{addrs[i].Addr, e.MAC, e.Zone, e.Port, e.Segment, n, b.use(addrs[i].Sets), first}
		b.put(&b.addrs, at)
		b.bindNear(&addrs[i].Addr, 1)
		b.touch(e.Zone, addrs[i].Addr)
		first = at + 1
	}
	b.endpoints.Edit(n).first = first
	if e.router {
		b.routers.add(n, place{e.Peer, e.Zone}, behind)
	}
	b.count++
}

func (b *Builder) put(x *paged.IndexEditor, value uint32) {
	if err := x.Put(value); err != nil {
		b.errs = append(b.errs, err) // keyed: it does not come to this, see paged.ErrFull
	}
}

// remove takes an endpoint out, with all that is bound to it.
func (b *Builder) remove(n uint32) {
	e := *b.endpoints.At(n)
	b.macs.Remove(n)
	if e.Port != packet.NoPort {
		b.ports.Remove(n)
	}
	for at := e.first; at != 0; {
		t := *b.bindings.At(at - 1)
		b.addrs.Remove(at - 1)
		b.bindNear(&t.addr, ^uint32(0))
		b.unuse(t.id)
		b.touch(t.zone, t.addr)
		*b.bindings.Edit(at - 1) = binding{}
		b.ties.give(at - 1)
		at = t.next
	}
	b.routers.remove(n)
	*b.endpoints.Edit(n) = Endpoint{}
	b.rows.give(n)
	b.count--
}

// bindNear counts an address that is bound, or is no more.
func (b *Builder) bindNear(a *packet.Addr, n uint32) {
	if a.Is4() {
		*b.near.Edit(pieceOf(a, 6)) += n
	}
}

// touch notes an address that came or went. Before the first table all have.
func (b *Builder) touch(zone uint16, a packet.Addr) {
	if b.last != nil {
		b.touched = append(b.touched, addrKey{zone, a})
	}
}

// rows numbers the rows of a table, and uses again those that were given back.
type rows struct {
	free []uint32
	next uint32
}

func (r *rows) take() uint32 {
	if n := len(r.free); n > 0 {
		i := r.free[n-1]
		r.free = r.free[:n-1]
		return i
	}
	r.next++
	return r.next - 1
}

func (r *rows) give(i uint32) { r.free = append(r.free, i) }
