package identity

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bulkhead/dataplane/packet"
)

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// workload is an endpoint of port 1, segment 0, zone 1, unless edited.
func workload(name string, last byte) Endpoint {
	return Endpoint{Name: name, Zone: 1, MAC: packet.MAC{2, 0, 0, 0, 0, last}, Port: 1, Peer: NoPeer}
}

func mustBuild(t *testing.T, b *Builder) *Table {
	t.Helper()
	table, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// trunk is a port that is in several segments.
const trunk packet.PortID = 13

// twin is the golden twin of a Table: lists, read from end to end.
type twin struct {
	endpoints []Endpoint
	addrs     [][]packet.Addr
	behind    [][]netip.Prefix
}

func (w *twin) byMAC(segment uint16, mac packet.MAC) int {
	return slices.IndexFunc(w.endpoints, func(e Endpoint) bool { return e.Segment == segment && e.MAC == mac })
}

func (w *twin) byAddr(zone uint16, a packet.Addr) int {
	for i, e := range w.endpoints {
		if e.Zone == zone && slices.Contains(w.addrs[i], a) {
			return i
		}
	}
	return -1
}

func (w *twin) onPort(port packet.PortID, segment uint16, mac packet.MAC) int {
	return slices.IndexFunc(w.endpoints, func(e Endpoint) bool { return e.Port == port && e.Segment == segment && e.MAC == mac })
}

func (w *twin) isBehind(i int, a packet.Addr) bool {
	return slices.ContainsFunc(w.behind[i], func(p netip.Prefix) bool { return p.Contains(a.Netip()) })
}

// source: the address is bound there, or is behind a router there and nobody's.
func (w *twin) source(port packet.PortID, segment uint16, mac packet.MAC, zone uint16, a packet.Addr) bool {
	if i := w.byAddr(zone, a); i >= 0 {
		return w.endpoints[i].Port == port && w.endpoints[i].Segment == segment && w.endpoints[i].MAC == mac
	}
	i := w.onPort(port, segment, mac)
	return i >= 0 && w.endpoints[i].Zone == zone && w.isBehind(i, a)
}

func (w *twin) owns(i int, zone uint16, a packet.Addr) bool {
	if other := w.byAddr(zone, a); other >= 0 {
		return other == i
	}
	return w.endpoints[i].Zone == zone && w.isBehind(i, a)
}

// The world is small, so that questions meet: a dozen MACs, ports, segments and
// zones, addresses in a few prefixes.
func randomMAC(r *rand.Rand) packet.MAC { return packet.MAC{2, 0, 0, 0, 0, byte(r.IntN(40))} }
func randomHost(r *rand.Rand) packet.Addr {
	if r.IntN(2) == 0 {
		return packet.AddrFrom4([4]byte{10, 0, byte(r.IntN(3)), byte(r.IntN(40))})
	}
	return packet.Addr{0: 0xfd, 13: byte(r.IntN(3)), 15: byte(r.IntN(40))}
}

// randomTable makes a table and its twin; what would be refused is left out.
func randomTable(t *testing.T, r *rand.Rand) (*Table, *twin) {
	b, w := NewBuilder(), &twin{}
	for i := range r.IntN(20) {
		host := randomHost(r).Netip()
		b.Outside(netip.PrefixFrom(host, 1+r.IntN(host.BitLen())), []uint32{0, uint32(100 + i)})
	}
	for i := range r.IntN(60) {
		segment := uint16(r.IntN(4))
		e := Endpoint{Name: fmt.Sprint("e", i), Segment: segment, Zone: segment/2 + 1, MAC: randomMAC(r), Port: packet.PortID(4*r.IntN(3)) + packet.PortID(segment), Peer: NoPeer}
		if r.IntN(3) == 0 {
			e.Port = trunk // which is in every segment
		}
		if r.IntN(4) == 0 {
			e.Port, e.Peer = packet.NoPort, uint16(r.IntN(3))
		}
		if w.byMAC(segment, e.MAC) >= 0 {
			continue
		}
		var own []packet.Addr
		var bound []Address
		for range r.IntN(4) {
			if a := randomHost(r); w.byAddr(e.Zone, a) < 0 && !slices.Contains(own, a) {
				own = append(own, a)
				bound = append(bound, Address{a, []uint32{0, uint32(i + 1)}})
			}
		}
		var behind []netip.Prefix
		if r.IntN(3) == 0 {
			behind = []netip.Prefix{netip.PrefixFrom(randomHost(r).Netip(), 30).Masked(), netip.MustParsePrefix("fd00::2:0/125")}
		}
		b.Endpoint(e, bound, behind)
		w.endpoints, w.addrs, w.behind = append(w.endpoints, e), append(w.addrs, own), append(w.behind, behind)
	}
	return mustBuild(t, b), w
}

func TestTableAgainstLists(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	for range 40 {
		table, w := randomTable(t, r)
		for range 500 {
			ask(t, r, table, w)
		}
		askAll(t, r, table)
	}
}

// ask asks table and twin the same questions, about random things.
func ask(t *testing.T, r *rand.Rand, table *Table, w *twin) {
	t.Helper()
	segment, zone, port := uint16(r.IntN(5)), uint16(r.IntN(4)), packet.PortID(r.IntN(14))
	mac, a := randomMAC(r), randomHost(r)
	number := func(ep uint32, found bool) int {
		if !found {
			return -1
		}
		return int(ep)
	}
	if got, want := number(table.ByMAC(segment, mac)), w.byMAC(segment, mac); got != want {
		t.Fatalf("ByMAC(%d, %s) = %d, want %d", segment, mac, got, want)
	}
	ep, id, found := table.ByAddr(zone, &a)
	want := w.byAddr(zone, a)
	if number(ep, found) != want || found && !slices.Equal(table.Sets(id)[:1], []uint32{0}) {
		t.Fatalf("ByAddr(%d, %s) = %d, sets %v; want %d", zone, a, number(ep, found), table.Sets(id), want)
	}
	if known, endpoint := table.Identify(zone, &a); endpoint != found || found && known != id {
		t.Fatalf("Identify(%d, %s) = %d, %v; ByAddr says %d, %v", zone, a, known, endpoint, id, found)
	}
	if got, want := table.BoundMAC(port, segment, mac), w.onPort(port, segment, mac) >= 0; got != want {
		t.Fatalf("BoundMAC(%d, %d, %s) = %v, want %v", port, segment, mac, got, want)
	}
	if _, got := table.Source(port, segment, mac, zone, &a); got != w.source(port, segment, mac, zone, a) {
		t.Fatalf("Source(%d, %d, %s, %d, %s) = %v", port, segment, mac, zone, a, got)
	}
	for i := range w.endpoints {
		if got, want := table.Owns(uint32(i), zone, &a), w.owns(i, zone, a); got != want {
			t.Fatalf("Owns(%d, %d, %s) = %v, want %v", i, zone, a, got, want)
		}
	}
	askBoth(t, table, w, segment, mac, zone, a)
	if len(w.endpoints) > 0 { // one's own MAC and address, which random ones seldom are
		i := r.IntN(len(w.endpoints))
		e := &w.endpoints[i]
		askBoth(t, table, w, e.Segment, e.MAC, zone, a)
		for _, own := range w.addrs[i] {
			askBoth(t, table, w, e.Segment, e.MAC, e.Zone, own)
			askBoth(t, table, w, segment, mac, e.Zone, own)
		}
	}
}

// askAll asks for a batch of addresses, and for each alone.
func askAll(t *testing.T, r *rand.Rand, table *Table) {
	t.Helper()
	addrs, zone := make([]packet.Addr, r.IntN(100)), uint16(r.IntN(4))
	for i := range addrs {
		if addrs[i] = randomHost(r); r.IntN(4) == 0 {
			addrs[i][r.IntN(16)] ^= byte(r.Uint32())
		}
	}
	ids := make([]ID, len(addrs))
	table.IdentifyAll(zone, addrs, ids)
	for i := range addrs {
		if want, _ := table.Identify(zone, &addrs[i]); ids[i] != want {
			t.Fatalf("%s of zone %d: %d in a batch, %d alone", addrs[i], zone, ids[i], want)
		}
	}
}

// askBoth asks what a MAC and an address together are answered.
func askBoth(t *testing.T, table *Table, w *twin, segment uint16, mac packet.MAC, zone uint16, a packet.Addr) {
	t.Helper()
	i := w.byMAC(segment, mac)
	ep, owns, found := table.ByMACFor(segment, mac, zone, &a)
	if found != (i >= 0) || found && (int(ep) != i || owns != w.owns(i, zone, a)) || !found && owns {
		t.Fatalf("ByMACFor(%d, %s, %d, %s) = %d, %v, %v; want %d", segment, mac, zone, a, ep, owns, found, i)
	}
}

// What nothing is known of belongs to the set of every address and no other;
// an endpoint has its own sets, and hides the network around it.
func TestIdentify(t *testing.T) {
	b := NewBuilder()
	b.Outside(netip.MustParsePrefix("192.0.2.99/24"), []uint32{0, 7}) // masked
	b.Outside(netip.MustParsePrefix("192.0.2.64/26"), []uint32{0, 7, 8})
	b.Outside(netip.MustParsePrefix("2001:db8::/32"), []uint32{0, 9})
	b.Endpoint(workload("web", 1), []Address{{addr("192.0.2.65"), []uint32{0, 3}}}, nil)
	table := mustBuild(t, b)
	for a, want := range map[string][]uint32{
		"10.0.0.1": {0}, "::1": {0}, "192.0.2.1": {0, 7}, "192.0.2.66": {0, 7, 8}, "192.0.2.65": {0, 3},
		"192.0.3.1": {0}, "2001:db8::1": {0, 9}, "2001:db9::1": {0},
	} {
		addr := addr(a)
		id, endpoint := table.Identify(1, &addr)
		if got := table.Sets(id); !slices.Equal(got, want) || endpoint != (a == "192.0.2.65") {
			t.Errorf("%s is in sets %v, endpoint %v; want %v", a, got, endpoint, want)
		}
	}
	elsewhere := addr("192.0.2.65")
	if id, endpoint := table.Identify(2, &elsewhere); endpoint || !slices.Equal(table.Sets(id), []uint32{0, 7, 8}) {
		t.Errorf("in another VRF the endpoint's address is in %v, endpoint %v", table.Sets(id), endpoint)
	}
}

// One identity a list of sets; identity 0 is nobody's and has none.
func TestIdentitiesAreSetLists(t *testing.T) {
	b := NewBuilder()
	first, second, same := b.ID([]uint32{0, 1}), b.ID([]uint32{0, 1, 2}), b.ID([]uint32{0, 1})
	if first != same || first == second || first == None || b.ID(nil) != b.ID([]uint32{}) {
		t.Errorf("identities %d, %d, %d", first, second, same)
	}
	table := mustBuild(t, b)
	if table.Sets(None) != nil || table.Sets(1e6) != nil || len(table.AllSets()) != 5 {
		t.Errorf("sets of nobody %v, of an unknown identity %v, %d in all", table.Sets(None), table.Sets(1e6), len(table.AllSets()))
	}
}

// A router may send from, and is given, what is behind it and nobody's own.
func TestRouter(t *testing.T) {
	b := NewBuilder()
	b.Outside(netip.MustParsePrefix("192.0.2.0/24"), []uint32{0, 7})
	b.Endpoint(workload("router", 1), []Address{{addr("10.0.0.1"), []uint32{0, 1}}},
		[]netip.Prefix{netip.MustParsePrefix("192.0.2.128/25"), netip.MustParsePrefix("192.0.2.0/24")})
	b.Endpoint(workload("host", 2), []Address{{addr("192.0.2.200"), []uint32{0, 2}}}, nil)
	table := mustBuild(t, b)
	router, host := packet.MAC{2, 0, 0, 0, 0, 1}, packet.MAC{2, 0, 0, 0, 0, 2}
	for _, c := range []struct {
		mac  packet.MAC
		addr string
		sets []uint32 // nil: refused
	}{
		{router, "10.0.0.1", []uint32{0, 1}},
		{router, "192.0.2.1", []uint32{0, 7}},
		{router, "192.0.2.200", nil},
		{router, "192.0.3.1", nil},
		{host, "192.0.2.200", []uint32{0, 2}},
		{host, "192.0.2.1", nil},
		{packet.MAC{2, 0, 0, 0, 0, 3}, "192.0.2.1", nil},
	} {
		a := addr(c.addr)
		id, bound := table.Source(1, 0, c.mac, 1, &a)
		if bound != (c.sets != nil) || bound && !slices.Equal(table.Sets(id), c.sets) {
			t.Errorf("%s from %s: %v, sets %v; want %v", c.addr, c.mac, bound, table.Sets(id), c.sets)
		}
	}
}

// RFC 4291 appendix A: the universal bit turned, ff:fe in the middle.
func TestBoundLinkLocal(t *testing.T) {
	e := workload("web", 1)
	e.MAC = packet.MAC{0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}
	b := NewBuilder()
	b.Endpoint(e, nil, nil)
	table := mustBuild(t, b)
	for a, want := range map[string]bool{
		"fe80::3656:78ff:fe9a:bcde": true, "fe80::3456:78ff:fe9a:bcde": false, "fe80::1": false,
		"fe80:0:0:1:3656:78ff:fe9a:bcde": false, "fe90::3656:78ff:fe9a:bcde": false,
	} {
		if addr := addr(a); table.BoundLinkLocal(1, 0, e.MAC, &addr) != want {
			t.Errorf("%s: %v", a, !want)
		}
	}
	own := addr("fe80::3656:78ff:fe9a:bcde")
	if table.BoundLinkLocal(2, 0, e.MAC, &own) {
		t.Error("it is bound to a port that its owner is not on")
	}
}

// All contradictions are told at once; what differs in segment or VRF is none.
func TestBuilderRefuses(t *testing.T) {
	b := NewBuilder()
	other := workload("other", 1)
	other.Segment, other.Zone = 1, 2
	b.Endpoint(workload("web", 1), []Address{{addr("10.0.0.1"), nil}}, nil)
	b.Endpoint(other, []Address{{addr("10.0.0.1"), nil}}, nil)
	if _, err := b.Build(); err != nil {
		t.Errorf("another segment and VRF: %v", err)
	}
	b.Endpoint(workload("double", 1), []Address{{addr("10.0.0.2"), nil}}, nil)
	b.Endpoint(workload("thief", 3), []Address{{addr("10.0.0.1"), nil}}, nil)
	_, err := b.Build()
	for _, want := range []string{`"web" and "double" have one MAC, 02:00:00:00:00:01`, `"web" and "thief" have one address, 10.0.0.1`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
}

func TestLookupsAllocateNothing(t *testing.T) {
	b := NewBuilder()
	b.Endpoint(workload("web", 1), []Address{{addr("10.0.0.1"), []uint32{0, 1}}}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	table := mustBuild(t, b)
	mac := packet.MAC{2, 0, 0, 0, 0, 1}
	own, behind, unknown := addr("10.0.0.1"), addr("192.0.2.1"), addr("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() {
		table.ByMAC(0, mac)
		table.BoundMAC(1, 0, mac)
		table.BoundLinkLocal(1, 0, mac, &unknown)
		for _, a := range []*packet.Addr{&own, &behind, &unknown} {
			table.ByAddr(1, a)
			table.Identify(1, a)
			table.Source(1, 0, mac, 1, a)
			table.Owns(0, 1, a)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
