package identity

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"bulkhead/dataplane/packet"
)

// member is an endpoint as a change states it.
type member struct {
	e      Endpoint
	addrs  []Address
	behind []netip.Prefix
}

// crowd is the endpoints that there are, by name, and the Builder that was told
// of them change by change.
type crowd struct {
	b  *Builder
	of map[string]member
}

func draw(r *rand.Rand, name string) member {
	segment := uint16(r.IntN(4))
	m := member{e: Endpoint{Name: name, Segment: segment, Zone: segment/2 + 1, MAC: randomMAC(r), Port: packet.PortID(r.IntN(12)/4*4 + int(segment)), Peer: NoPeer}}
	if r.IntN(4) == 0 {
		m.e.Port, m.e.Peer = packet.NoPort, uint16(r.IntN(3))
	}
	for range r.IntN(4) {
		m.addrs = append(m.addrs, Address{randomHost(r), randomSets(r)})
	}
	if r.IntN(4) == 0 {
		m.behind = []netip.Prefix{netip.PrefixFrom(randomHost(r).Netip(), 30).Masked(), netip.MustParsePrefix("fd00::2:0/125")}
	}
	return m
}

func randomSets(r *rand.Rand) []uint32 {
	sets := []uint32{0}
	for s := range uint32(6) {
		if r.IntN(3) == 0 {
			sets = append(sets, s+1)
		}
	}
	return sets
}

// whole makes the table of the crowd from the start, with the outside of one.
func (c *crowd) whole() (*Table, error) {
	b := newOutside()
	names := make([]string, 0, len(c.of))
	for name := range c.of {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m := c.of[name]
		b.Endpoint(m.e, m.addrs, m.behind)
	}
	return b.Build()
}

func newOutside() *Builder {
	b := NewBuilder()
	b.Outside(netip.MustParsePrefix("10.0.1.0/24"), []uint32{0, 4})
	b.Outside(netip.MustParsePrefix("fd00::/16"), []uint32{0, 5, 6})
	return b
}

// change makes one change, and says whether it was refused, as a table made
// from the start would have been.
func (c *crowd) change(t *testing.T, r *rand.Rand) {
	t.Helper()
	name := fmt.Sprint("e", r.IntN(40))
	was, has := c.of[name]
	now, keeps := draw(r, name), r.IntN(3) > 0
	if has && r.IntN(2) == 0 { // elsewhere, or another MAC: who it is stays
		now.addrs, now.behind = was.addrs, was.behind
		now.e.Segment, now.e.Zone = was.e.Segment, was.e.Zone
		if now.e.Port != packet.NoPort { // a port is in one segment
			now.e.Port = now.e.Port&^3 | packet.PortID(now.e.Segment)
		}
	}
	var err error
	switch {
	case has && keeps:
		c.of[name] = now
		err = c.b.Replace(was.e.Segment, was.e.MAC, now.e, now.addrs, now.behind)
	case has:
		delete(c.of, name)
		err = c.b.Remove(was.e.Segment, was.e.MAC)
	default:
		c.of[name] = now
		err = c.b.Add(now.e, now.addrs, now.behind)
	}
	_, wrong := c.whole()
	if (err != nil) != (wrong != nil) {
		t.Fatalf("%s, %+v: %v; from the start: %v", name, now, err, wrong)
	}
	if err != nil {
		if delete(c.of, name); has {
			c.of[name] = was
		}
	}
}

// places are all questions that the small world has.
func eachPlace(ask func(zone uint16, a packet.Addr)) {
	for zone := range uint16(4) {
		for net := range byte(3) {
			for host := range byte(40) {
				ask(zone, packet.AddrFrom4([4]byte{10, 0, net, host}))
				ask(zone, packet.Addr{0: 0xfd, 13: net, 15: host})
			}
		}
	}
}

// alike fails unless two tables answer alike: by names and sets, for numbers
// may differ.
func alike(t *testing.T, got, want *Table, r *rand.Rand) {
	t.Helper()
	name := func(x *Table, ep uint32, found bool) string {
		if !found {
			return ""
		}
		return x.Endpoint(ep).Name
	}
	eachPlace(func(zone uint16, a packet.Addr) {
		ep, id, found := got.ByAddr(zone, &a)
		ep2, id2, found2 := want.ByAddr(zone, &a)
		if name(got, ep, found) != name(want, ep2, found2) || !slices.Equal(got.Sets(id), want.Sets(id2)) {
			t.Fatalf("ByAddr(%d, %s) = %q, %v; from the start %q, %v", zone, a, name(got, ep, found), got.Sets(id), name(want, ep2, found2), want.Sets(id2))
		}
		id, _ = got.Identify(zone, &a)
		id2, _ = want.Identify(zone, &a)
		if !slices.Equal(got.Sets(id), want.Sets(id2)) {
			t.Fatalf("Identify(%d, %s): %v; from the start %v", zone, a, got.Sets(id), want.Sets(id2))
		}
		port, mac, peer, segment := packet.PortID(r.IntN(13)), randomMAC(r), uint16(r.IntN(4)), uint16(r.IntN(5))
		_, bound := got.Source(port, segment, mac, zone, &a)
		_, bound2 := want.Source(port, segment, mac, zone, &a)
		if bound != bound2 || got.BoundMAC(port, segment, mac) != want.BoundMAC(port, segment, mac) {
			t.Fatalf("Source(%d, %s, %d, %s) = %v; from the start %v", port, mac, zone, a, bound, bound2)
		}
		for _, routed := range []bool{false, true} {
			_, known, bound := got.RemoteSource(peer, segment, mac, routed, zone, &a)
			_, known2, bound2 := want.RemoteSource(peer, segment, mac, routed, zone, &a)
			if known != known2 || bound != bound2 {
				t.Fatalf("RemoteSource(%d, %d, %s, %v, %d, %s) = %v, %v; from the start %v, %v", peer, segment, mac, routed, zone, a, known, bound, known2, bound2)
			}
		}
	})
	addrs := map[string]string{}
	for i, e := range want.All() {
		addrs[e.Name] = fmt.Sprint(want.Addrs(i))
	}
	n := 0
	for i, e := range got.All() {
		n++
		if text := fmt.Sprint(got.Addrs(i)); text != addrs[e.Name] {
			t.Fatalf("%s has %s; from the start %s", e.Name, text, addrs[e.Name])
		}
		ep, found := got.ByMAC(e.Segment, e.MAC)
		if !found || ep != i {
			t.Fatalf("ByMAC(%s) is not %s", e.MAC, e.Name)
		}
	}
	if n != want.Len() || got.Len() != n {
		t.Fatalf("%d endpoints, Len says %d; from the start %d", n, got.Len(), want.Len())
	}
}

// However a crowd came to be what it is, its table answers as one that is made
// of it from the start; earlier tables answer as they did.
func TestVersionsAgreeWithTheWhole(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	c := &crowd{b: newOutside(), of: map[string]member{}}
	type version struct{ got, want *Table }
	var old []version
	ids := map[ID]string{} // of those that were told to be there
	for round := range 150 {
		for range 1 + r.IntN(3) {
			c.change(t, r)
		}
		got, changes, err := c.b.Next()
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.whole()
		if err != nil {
			t.Fatal(err)
		}
		alike(t, got, want, r)
		tellIDs(t, ids, got, changes)
		if round > 0 {
			sameAnswers(t, old[len(old)-1].got, got, changes.Answers)
		}
		old = append(old, version{got, want})
	}
	for range 40 {
		v := old[r.IntN(len(old))]
		alike(t, v.got, v.want, r)
	}
	if rows := c.b.rows.next; rows > 41 {
		t.Errorf("%d rows for 40 endpoints", rows)
	}
	if n := c.b.ids.next; n > 2*64+4 {
		t.Errorf("%d identities of %d lists", n, 64)
	}
}

// tellIDs follows the identities by what the changes say of them.
func tellIDs(t *testing.T, ids map[ID]string, table *Table, c Changes) {
	t.Helper()
	for _, id := range c.Gone {
		if _, there := ids[id]; !there {
			t.Fatalf("identity %d is gone, and was not there", id)
		}
		delete(ids, id)
	}
	for _, id := range c.Fresh {
		if was, there := ids[id]; there {
			t.Fatalf("identity %d is fresh, and was %s", id, was)
		}
		ids[id] = fmt.Sprint(table.Sets(id))
	}
	eachPlace(func(zone uint16, a packet.Addr) {
		if id, _ := table.Identify(zone, &a); ids[id] != fmt.Sprint(table.Sets(id)) {
			t.Fatalf("%s is of identity %d, %v; told was %q", a, id, table.Sets(id), ids[id])
		}
	})
}

// sameAnswers holds Changes.Answers against every address.
func sameAnswers(t *testing.T, before, after *Table, differ bool) {
	t.Helper()
	differs := false
	eachPlace(func(zone uint16, a packet.Addr) {
		x, _ := before.Identify(zone, &a)
		y, _ := after.Identify(zone, &a)
		differs = differs || !slices.Equal(before.Sets(x), after.Sets(y))
	})
	if differs != differ {
		t.Fatalf("Answers is %v; addresses that mean another identity: %v", differ, differs)
	}
}

// What an endpoint of a million costs: a page or two, and directories.
func BenchmarkReplaceOneOf(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("endpoints=", n), func(b *testing.B) {
			build := NewBuilder()
			one := func(i, port int) (Endpoint, []Address) {
				mac := packet.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
				return Endpoint{Name: "e", Zone: 1, MAC: mac, Port: packet.PortID(port), Peer: NoPeer},
					[]Address{{packet.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), []uint32{0, uint32(i % 10_000)}}}
			}
			for i := range n {
				e, a := one(i, 1)
				build.Endpoint(e, a, nil)
			}
			if _, err := build.Build(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e, a := one(i*7919%n, 2+i%2)
				if err := build.Replace(0, e.MAC, e, a, nil); err != nil {
					b.Fatal(err)
				}
				if _, err := build.Build(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
