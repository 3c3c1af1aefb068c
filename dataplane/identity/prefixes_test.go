package identity

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"bulkhead/dataplane/packet"
)

// slow is the golden twin of prefixes: a list, all of it read for each look-up.
// Of equal prefixes the last one counts.
type slow []outsidePrefix

func (s slow) lookup(a netip.Addr) (uint32, bool) {
	best := -1
	for i, p := range s {
		if p.prefix.Contains(a) && (best < 0 || p.prefix.Bits() >= s[best].prefix.Bits()) {
			best = i
		}
	}
	if best < 0 {
		return 0, false
	}
	return uint32(s[best].id), true
}

// randomPrefix is one among few addresses, so that prefixes lie in one another,
// of any length, host routes and the whole of a family among them.
func randomPrefix(r *rand.Rand) netip.Prefix {
	a := randomAddr(r)
	return netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()
}

func randomAddr(r *rand.Rand) netip.Addr {
	// Four random bits in each of four places; the rest is the same for all.
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

func TestPrefixesAgainstAScan(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		list := make(slow, r.IntN(60))
		for i := range list {
			list[i] = outsidePrefix{randomPrefix(r), ID(1 + r.IntN(1000))}
		}
		fast := newPrefixes(list, []int{-1, 0, maxBlocks}[r.IntN(3)])
		for range 200 {
			hold(t, fast, list, randomAddr(r))
		}
		for _, p := range list { // both ends of each prefix, and what is next to them
			first, last := p.prefix.Addr(), lastOf(p.prefix)
			for _, a := range []netip.Addr{first, first.Prev(), last, last.Next()} {
				if a.IsValid() {
					hold(t, fast, list, a)
				}
			}
		}
	}
}

// Many ranges of one piece, far apart or close together, in either family: nodes
// that some bits choose, and trees of them.
func TestCrowdedPrefixesAgainstAnArray(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, n := range []int{1, 9, 10, 11, 100, 101, 2000, 30_000} {
		for _, room := range []int{n, 4 * n, 1 << 16} {
			for _, family := range []netip.Addr{netip.MustParseAddr("10.1.0.0"), netip.MustParseAddr("2001:db8::")} {
				for _, blocks := range []int{0, maxBlocks} {
					crowdPiece(t, r, n, min(room, 1<<16), family, blocks)
				}
			}
		}
	}
}

// crowdPiece puts n prefixes of the last piece among the first addresses of a network.
func crowdPiece(t *testing.T, r *rand.Rand, n, room int, family netip.Addr, blocks int) {
	var truth [1 << 16]uint32
	var length [1 << 16]int
	list := []outsidePrefix{}
	in := func(last int) netip.Addr {
		b := family.AsSlice()
		binary.BigEndian.PutUint16(b[len(b)-2:], uint16(last))
		a, _ := netip.AddrFromSlice(b)
		return a
	}
	for i := range n {
		short := 0 // most are hosts
		if r.IntN(4) == 0 {
			short = r.IntN(17)
		}
		first := r.IntN(room) &^ (1<<short - 1)
		list = append(list, outsidePrefix{netip.PrefixFrom(in(first), family.BitLen()-short), ID(i + 1)})
		for a := first; a < first+1<<short; a++ {
			if 17-short >= length[a] {
				truth[a], length[a] = uint32(i+1), 17-short
			}
		}
	}
	fast := newPrefixes(list, blocks)
	for last, want := range truth {
		a := packet.AddrFrom(in(last))
		if got, found := fast.lookup(&a); got != want || found != (want != 0) {
			t.Fatalf("%d prefixes in %d of %s: %s is %d, %v; want %d", n, room, family, in(last), got, found, want)
		}
	}
	if most := 2 * 2 * (n + 8); len(fast.nodes) > most {
		t.Errorf("%d prefixes in %d of %s take %d nodes, more than %d", n, room, family, len(fast.nodes), most)
	}
}

func hold(t *testing.T, fast *prefixes, list slow, a netip.Addr) {
	t.Helper()
	addr := packet.AddrFrom(a)
	got, found := fast.lookup(&addr)
	if want, is := list.lookup(a); got != want || found != is {
		t.Fatalf("%s: %d, %v; want %d, %v, of %v", a, got, found, want, is, list)
	}
	ids := []ID{77}
	if (&Table{outside: fast}).IdentifyAll(0, []packet.Addr{addr}, ids); uint32(ids[0]) != got {
		t.Fatalf("%s: %d in a batch, %d alone", a, ids[0], got)
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestNoPrefixesFindNothing(t *testing.T) {
	a := packet.AddrFrom4([4]byte{10, 0, 0, 1})
	for name, p := range map[string]*prefixes{"nil": nil, "empty": newPrefixes(nil, maxBlocks)} {
		if v, found := p.lookup(&a); found {
			t.Errorf("%s finds %d", name, v)
		}
		ids := []ID{77}
		if (&Table{outside: p}).IdentifyAll(0, []packet.Addr{a}, ids); ids[0] != None {
			t.Errorf("%s finds %d in a batch", name, ids[0])
		}
	}
}
