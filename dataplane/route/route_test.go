package route

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"bulkhead/dataplane/packet"
)

// entry is a route of the golden twin: a list that is read from end to end for
// each look-up.
type entry struct {
	zone   uint16
	prefix netip.Prefix
	next   Next
}

type slow []entry

func (s slow) lookup(zone uint16, a netip.Addr) (Next, bool) {
	best := -1
	for i, e := range s {
		if e.zone == zone && e.prefix.Contains(a) && (best < 0 || e.prefix.Bits() > s[best].prefix.Bits()) {
			best = i
		}
	}
	if best < 0 || s[best].next.blackhole {
		return Next{}, false
	}
	return s[best].next, true
}

func (s slow) has(zone uint16, p netip.Prefix) bool {
	for _, e := range s {
		if e.zone == zone && e.prefix == p {
			return true
		}
	}
	return false
}

// randomAddr is one of few, so that prefixes lie in one another.
func randomAddr(r *rand.Rand) netip.Addr {
	where := r.Uint64() & 0xf00f_0000_00f0_000f
	if r.IntN(2) == 0 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], 0x0a000000^uint32(where)^uint32(where>>32))
		return netip.AddrFrom4(b)
	}
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint64(b[4:], where)
	b[15] = byte(r.IntN(16))
	return netip.AddrFrom16(b)
}

// randomTable makes connected prefixes, then blackholes and static routes whose
// next hop is on one of them, each prefix of a VRF once.
func randomTable(t *testing.T, r *rand.Rand) (*Table, slow) {
	b := NewBuilder()
	var list slow
	var hops []entry
	for i := range 40 {
		zone, a := uint16(r.IntN(3)), randomAddr(r)
		p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()
		if list.has(zone, p) {
			continue
		}
		switch {
		case i < 10:
			next := Next{Connected: true, Segment: uint16(i)}
			b.Connected(zone, p, next.Segment)
			list = append(list, entry{zone, p, next})
			hops = append(hops, list[len(list)-1])
		case i < 20:
			b.Blackhole(zone, p)
			list = append(list, entry{zone, p, Next{blackhole: true}})
		default:
			addStatic(b, &list, r, hops[r.IntN(len(hops))], p)
		}
	}
	table, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return table, list
}

// addStatic adds a route by way of an address on a connected prefix, unless
// something longer lies around that address, or it is of the other family.
func addStatic(b *Builder, list *slow, r *rand.Rand, hop entry, p netip.Prefix) {
	via := hop.prefix.Addr()
	if via.Is4() != p.Addr().Is4() || list.has(hop.zone, p) {
		return
	}
	for _, e := range *list {
		if e.zone == hop.zone && e.prefix.Bits() > hop.prefix.Bits() && e.prefix.Contains(via) {
			return
		}
	}
	if p.Bits() >= hop.prefix.Bits() && p.Contains(via) {
		return
	}
	b.Static(hop.zone, p, via)
	*list = append(*list, entry{hop.zone, p, Next{Segment: hop.next.Segment, Via: packet.AddrFrom(via)}})
}

func TestTableAgainstAScan(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	for range 100 {
		table, list := randomTable(t, r)
		for range 500 {
			zone, a := uint16(r.IntN(4)), randomAddr(r)
			addr := packet.AddrFrom(a)
			got, found := table.Lookup(zone, &addr)
			want, is := list.lookup(zone, a)
			if found != is || is && *got != want {
				t.Fatalf("%s in VRF %d: %+v, %v; want %+v, %v", a, zone, got, found, want, is)
			}
		}
	}
}

// A static route is resolved by connected prefixes, whatever the order in which
// both were told.
func TestStaticBeforeConnected(t *testing.T) {
	b := NewBuilder()
	b.Static(1, netip.MustParsePrefix("192.0.2.77/24"), netip.MustParseAddr("10.0.0.9"))
	b.Connected(1, netip.MustParsePrefix("10.0.0.1/24"), 4)
	table, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	a := packet.AddrFrom4([4]byte{192, 0, 2, 1})
	want := Next{Segment: 4, Via: packet.AddrFrom4([4]byte{10, 0, 0, 9})}
	if got, found := table.Lookup(1, &a); !found || *got != want {
		t.Errorf("%+v, %v; want %+v", got, found, want)
	}
}

// Every route that leads nowhere is told, with what is wrong with it.
func TestBuilderRefuses(t *testing.T) {
	b := NewBuilder()
	b.Connected(1, netip.MustParsePrefix("10.0.0.0/24"), 0)
	b.Connected(1, netip.MustParsePrefix("fd00::/64"), 0)
	b.Connected(2, netip.MustParsePrefix("10.0.2.0/24"), 1)
	b.Blackhole(1, netip.MustParsePrefix("10.0.0.128/25"))
	static := func(prefix, via string) { b.Static(1, netip.MustParsePrefix(prefix), netip.MustParseAddr(via)) }
	static("192.0.2.0/24", "10.0.0.9")
	static("198.51.100.0/24", "10.9.9.9")
	static("198.51.101.0/24", "10.0.2.9")
	static("198.51.102.0/24", "10.0.0.200")
	static("198.51.103.0/24", "192.0.2.1")
	static("2001:db8::/32", "10.0.0.9")
	static("198.51.104.0/24", "fd00::9")
	_, err := b.Build()
	if err == nil {
		t.Fatal("routes that lead nowhere are taken")
	}
	for route, why := range map[string]string{
		"198.51.100.0/24 via 10.9.9.9":   "in no segment",
		"198.51.101.0/24 via 10.0.2.9":   "in no segment", // of another VRF
		"198.51.102.0/24 via 10.0.0.200": "in no segment", // a blackhole
		"198.51.103.0/24 via 192.0.2.1":  "in no segment", // a static route
		"2001:db8::/32 via 10.0.0.9":     "other family",
		"198.51.104.0/24 via fd00::9":    "other family",
	} {
		if at := strings.Index(err.Error(), route); at < 0 || !strings.Contains(strings.SplitN(err.Error()[at:], "\n", 2)[0], why) {
			t.Errorf("no word that %s is %s in:\n%v", route, why, err)
		}
	}
	if strings.Contains(err.Error(), "route 192.0.2.0/24") {
		t.Errorf("a good route is refused: %v", err)
	}
}

func TestNoRoutes(t *testing.T) {
	a := packet.AddrFrom4([4]byte{10, 0, 0, 1})
	if next, found := new(Table).Lookup(1, &a); found {
		t.Errorf("an empty table leads to %+v", next)
	}
}

func TestLookupsAllocateNothing(t *testing.T) {
	b := NewBuilder()
	b.Connected(1, netip.MustParsePrefix("10.0.0.0/24"), 0)
	b.Connected(1, netip.MustParsePrefix("fd00::/64"), 0)
	b.Blackhole(1, netip.MustParsePrefix("::/0"))
	table, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	n := NewNeighbours()
	a4, a6 := packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.Addr{0: 0xfd, 15: 1}
	if allocs := testing.AllocsPerRun(100, func() {
		for _, a := range []*packet.Addr{&a4, &a6, {}} {
			table.Lookup(1, a)
			table.Lookup(2, a)
			n.Lookup(1, a, 1)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// hopOf is the next hop that a flow takes of those that work.
func hopOf(n *Next, hash uint64, works func(int) bool) int {
	best, most := -1, uint64(0)
	for i := range n.Hops() {
		if w := n.Weight(i, hash); works(i) && (best < 0 || w > most) {
			best, most = i, w
		}
	}
	return best
}

// Flows are shared out evenly among the next hops of a route; when one goes its
// flows alone move, and evenly; a table that is built anew sends them as before.
func TestHopsAreResilient(t *testing.T) {
	const hops, flows = 8, 80_000
	build := func() *Next {
		b := NewBuilder()
		b.Connected(1, netip.MustParsePrefix("10.0.0.0/24"), 0)
		for i := range hops {
			b.Static(1, netip.MustParsePrefix("0.0.0.0/0"), netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
		}
		table, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		a := packet.AddrFrom4([4]byte{192, 0, 2, 1})
		next, found := table.Lookup(1, &a)
		if !found || next.Hops() != hops {
			t.Fatalf("%d next hops, %v", next.Hops(), found)
		}
		return next
	}
	n, again := build(), build()
	all := func(int) bool { return true }
	r := rand.New(rand.NewPCG(1, 2))
	var load, after [hops]int
	for range flows {
		hash := r.Uint64()
		first := hopOf(n, hash, all)
		load[first]++
		if other := hopOf(again, hash, all); other != first {
			t.Fatalf("flow %x takes %d, and %d of a table built anew", hash, first, other)
		}
		second := hopOf(n, hash, func(i int) bool { return i != 3 })
		after[second]++
		if first != 3 && second != first {
			t.Fatalf("flow %x moves from %d to %d though that one works", hash, first, second)
		}
	}
	for i := range hops {
		if d := load[i] - flows/hops; d < -500 || d > 500 { // five deviations
			t.Errorf("next hop %d has %d of %d flows", i, load[i], flows)
		}
		if d := after[i] - flows/(hops-1); i != 3 && (d < -600 || d > 600) {
			t.Errorf("without one, next hop %d has %d of %d flows", i, after[i], flows)
		}
	}
}

func TestTooManyHops(t *testing.T) {
	b := NewBuilder()
	b.Connected(1, netip.MustParsePrefix("10.0.0.0/24"), 0)
	for i := range MaxHops + 1 {
		b.Static(1, netip.MustParsePrefix("0.0.0.0/0"), netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
	}
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "next hops") {
		t.Errorf("%v", err)
	}
}
