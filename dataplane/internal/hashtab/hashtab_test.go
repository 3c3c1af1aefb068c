package hashtab

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func addr(n uint64) *[16]byte {
	a := &[16]byte{0x20, 1}
	binary.BigEndian.PutUint64(a[8:], n)
	return a
}

func addr4(n uint32) *[16]byte {
	a := &[16]byte{10: 0xff, 11: 0xff}
	binary.BigEndian.PutUint32(a[12:], n)
	return a
}

func TestFlowIsSymmetricAndReadsEverything(t *testing.T) {
	s := NewSecret()
	rapid.Check(t, func(t *rapid.T) {
		var src, dst [16]byte
		for i := range src {
			src[i], dst[i] = rapid.Byte().Draw(t, "src"), rapid.Byte().Draw(t, "dst")
		}
		sport, dport := rapid.Uint16().Draw(t, "sport"), rapid.Uint16().Draw(t, "dport")
		shared := rapid.Uint32().Draw(t, "shared")
		h := s.Flow(&src, &dst, sport, dport, shared)
		if back := s.Flow(&dst, &src, dport, sport, shared); back != h {
			t.Fatalf("%x one way, %x the other", h, back)
		}
		other := src
		other[rapid.IntRange(0, 15).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		for what, changed := range map[string]uint64{
			"address": s.Flow(&other, &dst, sport, dport, shared),
			"port":    s.Flow(&src, &dst, sport^1<<rapid.IntRange(0, 15).Draw(t, "bit"), dport, shared),
			"shared":  s.Flow(&src, &dst, sport, dport, shared^1<<rapid.IntRange(0, 31).Draw(t, "bit")),
		} {
			if changed == h {
				t.Fatalf("another %s, the same hash", what)
			}
		}
		// Ports that change places are another flow, unless the addresses are equal.
		if sport != dport && src != dst && s.Flow(&src, &dst, dport, sport, shared) == h {
			t.Fatal("ports swapped alone, the same hash")
		}
	})
}

// The inputs that an attacker, or a network, really has: counters in the low
// bits of addresses and ports. None may be hashed worse than random: the
// fullest of n buckets holding n keys has about ln n / ln ln n.
func TestCountersSpread(t *testing.T) {
	const n = 1 << 16
	for name, hash := range map[string]func(s *Secret, i uint64) uint64{
		"v4 sources":        func(s *Secret, i uint64) uint64 { return s.Flow(addr4(uint32(i)), addr4(1), 80, 80, 6) },
		"v6 sources":        func(s *Secret, i uint64) uint64 { return s.Flow(addr(i), addr(1), 80, 80, 6) },
		"v6 high halves":    func(s *Secret, i uint64) uint64 { return s.Flow(addr(i<<32), addr(1), 80, 80, 6) },
		"ports":             func(s *Secret, i uint64) uint64 { return s.Flow(addr(2), addr(1), uint16(i), 80, 6) },
		"address and port":  func(s *Secret, i uint64) uint64 { return s.Flow(addr(i), addr(1), uint16(i), 80, 6) },
		"both ends":         func(s *Secret, i uint64) uint64 { return s.Flow(addr(i), addr(^i), 1, 2, 6) },
		"to itself":         func(s *Secret, i uint64) uint64 { return s.Flow(addr(i), addr(i), 1, 1, 6) },
		"zones":             func(s *Secret, i uint64) uint64 { return s.Flow(addr(2), addr(1), 1, 2, uint32(i)) },
		"MACs":              func(s *Secret, i uint64) uint64 { return s.Word(0x0200_0000_0000 | i) },
		"MACs, high bits":   func(s *Secret, i uint64) uint64 { return s.Word(i << 48) },
		"pairs":             func(s *Secret, i uint64) uint64 { return s.Pair(i>>8, i&255) },
		"addresses of zone": func(s *Secret, i uint64) uint64 { return s.Addr(addr4(uint32(i>>4)), i&15) },
	} {
		for range 4 {
			s := NewSecret()
			low, high := make([]uint8, n), make([]uint8, n)
			for i := range uint64(n) {
				h := hash(&s, i)
				low[h%n]++
				high[h>>48]++
			}
			for which, load := range [][]uint8{low, high} {
				worst := uint8(0)
				for _, l := range load {
					worst = max(worst, l)
				}
				if worst > 14 { // Poisson: P(any of 65536 > 14) is 5e-8
					t.Errorf("%s, %d: %d in one bucket; secret %x", name, which, worst, s)
				}
			}
		}
	}
}

// Keys that meet under one secret do not under another, and no two starts
// share a secret.
func TestSecretsDiffer(t *testing.T) {
	known := Secret{1, 3, 5, 7, 9, 11}
	const buckets = 1 << 10
	var meet []uint64
	for i := uint64(0); len(meet) < 1000; i++ {
		if known.Word(i)%buckets == 0 {
			meet = append(meet, i)
		}
	}
	vectors := map[[8]uint64]bool{}
	for range 20 {
		s := NewSecret()
		load := map[uint64]int{}
		var vector [8]uint64
		for i, key := range meet {
			b := s.Word(key) % buckets
			load[b]++
			if i < len(vector) {
				vector[i] = b
			}
		}
		for b, n := range load {
			if n > 14 {
				t.Errorf("%d of 1000 keys still meet in bucket %d", n, b)
			}
		}
		vectors[vector] = true
	}
	if len(vectors) != 20 {
		t.Errorf("20 starts gave %d bucket vectors", len(vectors))
	}
	first, again := Boot(), Boot()
	if first != again || first == (Secret{}) || known.OrBoot() != known || (Secret{}).OrBoot() != first {
		t.Error("the secret of this boot is not one secret")
	}
}

func TestMatchIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var b Bucket
		tags := [Lanes]uint64{}
		for i := range tags {
			// Near one another, and near the borders of a lane's arithmetic.
			tags[i] = []uint64{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff}[random.IntN(6)]
			b.set(i, tags[i])
		}
		want := tags[random.IntN(Lanes)]
		var got [Lanes]bool
		m := b.match(want)
		if n := bits.OnesCount64(uint64(m)); n > Lanes {
			t.Fatalf("%d matches", n)
		}
		for ; m != 0; m = m.Next() {
			got[m.Lane()] = true
		}
		for i := range tags {
			if got[i] != (tags[i] == want) {
				t.Fatalf("tags %x, looking for %x: lane %d is %v", tags, want, i, got[i])
			}
		}
	}
}

// lookup finds a row as a table does.
func lookup(x *Index, hash uint64, row uint32) (found bool, probes int) {
	b, m := x.First(hash)
	for second := false; ; second = true {
		for ; m != 0; m = m.Next() {
			if probes++; b.Row(m.Lane()) == row {
				return true, probes
			}
		}
		if second {
			return false, probes
		}
		b, m = x.Second(hash, b)
	}
}

func TestIndexAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, err := NewIndex(uint32(rapid.IntRange(1, 60).Draw(t, "rows")))
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		type at struct {
			hash  uint64
			place Place
		}
		model := map[uint32]at{}
		next := uint32(0)
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				h := rapid.Uint64Range(0, 20).Draw(t, "h") * 0x9e3779b97f4a7c15
				place, added := x.Insert(h, next)
				var rows [MaxProbes]uint32
				if n := x.Candidates(h, &rows); !added && n < Lanes {
					t.Fatalf("refused with %d in the way", n)
				}
				if added {
					model[next] = at{h, place}
				}
				next++
			},
			"remove": func(t *rapid.T) {
				for row, a := range model {
					x.Remove(a.place, a.hash)
					delete(model, row)
					return
				}
			},
			"": func(t *rapid.T) {
				used, spilled := 0, 0
				for row, a := range model {
					found, probes := lookup(x, a.hash, row)
					if !found || probes > MaxProbes || x.Row(a.place) != row {
						t.Fatalf("row %d: found %v in %d probes", row, found, probes)
					}
				}
				for i := range x.rows {
					used += int(x.rows[i].used)
					spilled += int(x.rows[i].spilled)
				}
				if used != len(model) || spilled > used {
					t.Fatalf("%d used, %d spilled, %d there", used, spilled, len(model))
				}
			},
		})
	})
}

// Filled to its bound with random hashes, and then with every row replaced
// many times over, the index refuses less than one insertion in a million.
func TestTwoChoicesRarelyFail(t *testing.T) {
	const rows = 1 << 16
	x, err := NewIndex(rows)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	random := rand.New(rand.NewPCG(7, 7))
	hashes, places, added := make([]uint64, rows), make([]Place, rows), make([]bool, rows)
	refused := 0
	for n := range 16 * rows {
		row := n % rows
		if added[row] {
			x.Remove(places[row], hashes[row])
		}
		hashes[row] = random.Uint64()
		if places[row], added[row] = x.Insert(hashes[row], uint32(row)); !added[row] {
			refused++
		}
	}
	if refused > 1 {
		t.Errorf("%d of %d insertions refused", refused, 16*rows)
	}
}

// TouchAll finds of a batch what Touch finds of each, in an index so full that many
// rows are in their second bucket; and most of it is right.
func TestTouchAllIsTouchOfEach(t *testing.T) {
	const n = 1 << 12
	x, err := NewIndex(n)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	r := rand.New(rand.NewPCG(3, 3))
	var hashes []uint64
	for row := range uint32(n) {
		h := r.Uint64()
		if _, added := x.Insert(h, row); added {
			hashes = append(hashes, h)
		}
	}
	hashes = append(hashes, 0, r.Uint64(), r.Uint64())
	rows := make([]uint32, len(hashes)+1)
	x.TouchAll(hashes, rows)
	right := 0
	for i, h := range hashes {
		if rows[i] != x.Touch(h) {
			t.Fatalf("hash %x: row %d in a batch, %d alone", h, rows[i], x.Touch(h))
		}
		if rows[i] == uint32(i) {
			right++
		}
	}
	if right < n*9/10 {
		t.Errorf("%d of %d rows were guessed right", right, n)
	}
}

func TestBucketIsACacheLine(t *testing.T) {
	if size := reflect.TypeFor[Bucket]().Size(); size != 64 {
		t.Errorf("a bucket is %d bytes", size)
	}
	for _, rows := range []uint32{0, 1<<28 + 1} {
		if _, err := NewIndex(rows); err == nil {
			t.Errorf("an index of %d rows was made", rows)
		}
	}
}

var sink uint64

func BenchmarkFlow(b *testing.B) {
	s := NewSecret()
	src, dst := addr(1), addr(2)
	for i := 0; b.Loop(); i++ {
		sink += s.Flow(src, dst, uint16(i), 443, 6)
	}
}

func BenchmarkWord(b *testing.B) {
	s := NewSecret()
	for i := 0; b.Loop(); i++ {
		sink += s.Word(uint64(i))
	}
}
