package paged

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

func random(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// Every version of a vector goes on saying what it said when it was published.
func TestVectorVersionsStay(t *testing.T) {
	r := random(t)
	var e VectorEditor[int]
	var twin []int
	type version struct {
		v    Vector[int]
		twin []int
	}
	var versions []version
	for range 300 {
		for range r.IntN(20) {
			i := r.IntN(2000)
			for i >= len(twin) {
				twin = append(twin, 0)
			}
			twin[i] = r.Int()
			*e.Edit(uint32(i)) = twin[i]
		}
		versions = append(versions, version{e.Publish(), slices.Clone(twin)})
	}
	for n, old := range versions {
		for i, want := range old.twin {
			if got := *old.v.At(uint32(i)); got != want {
				t.Fatalf("version %d, row %d: %d, want %d", n, i, got, want)
			}
		}
		if len(old.twin) > 0 && !old.v.Has(uint32(len(old.twin)-1)) || old.v.Has(uint32(old.v.Len())) {
			t.Fatalf("version %d of %d rows has %d", n, len(old.twin), old.v.Len())
		}
	}
}

// keyed is an index of numbers whose keys are the rows of an array.
type keyed struct {
	IndexEditor
	keys []uint64
	free []uint32
}

func newKeyed(hash func(uint64) uint64) *keyed {
	k := &keyed{}
	k.IndexEditor = NewIndexEditor(func(v uint32) uint64 { return hash(k.keys[v]) })
	return k
}

func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

func (k *keyed) add(t *testing.T, key uint64) uint32 {
	v := uint32(len(k.keys))
	if n := len(k.free); n > 0 {
		v, k.free = k.free[n-1], k.free[:n-1]
		k.keys[v] = key
	} else {
		k.keys = append(k.keys, key)
	}
	if err := k.Put(v); err != nil {
		t.Fatal(err)
	}
	return v
}

// An index has what a map has, each version what the map had then: hashes as
// they come from a keyed hash, and those that fall together in bunches, at the
// end of a page too.
func TestIndexAgreesWithAMap(t *testing.T) {
	r := random(t)
	for name, hash := range map[string]func(uint64) uint64{
		"mixed": mix,
		"bunches": func(key uint64) uint64 {
			return mix(key)&^0x3ff | 0x3fe + key%3
		},
	} {
		k := newKeyed(hash)
		twin := map[uint64]uint32{}
		type version struct {
			x    Index
			keys []uint64
			twin map[uint64]uint32
		}
		var versions []version
		for round := range 60 {
			for range r.IntN(600) {
				key := uint64(r.IntN(6000))
				if v, has := twin[key]; has {
					k.Remove(v)
					delete(twin, key)
					k.free = append(k.free, v)
				} else if round < 40 || r.IntN(3) == 0 {
					twin[key] = k.add(t, key)
				}
			}
			versions = append(versions, version{k.Publish(), slices.Clone(k.keys), maps.Clone(twin)})
		}
		for n, old := range versions {
			for key := range uint64(6000) {
				want, has := old.twin[key]
				got, found := old.x.Find(hash(key), func(v uint32) bool { return old.keys[v] == key })
				if found != has || found && got != want {
					t.Fatalf("%s, version %d, key %d: %d, %v; want %d, %v", name, n, key, got, found, want, has)
				}
			}
		}
	}
}

// Keys that no bits tell apart are refused, and no look-up reads on for them.
func TestIndexOfEqualHashesIsFull(t *testing.T) {
	k := newKeyed(func(uint64) uint64 { return 77 })
	for i := range 16 {
		k.add(t, uint64(i))
	}
	k.keys = append(k.keys, 16)
	if err := k.Put(16); err != ErrFull {
		t.Fatalf("17 keys of one hash: %v", err)
	}
}

// What comes and goes leaves nothing behind: not a slot, not a page.
func TestIndexDoesNotGrowByChurn(t *testing.T) {
	r := random(t)
	k := newKeyed(mix)
	var live []uint32
	for range 20_000 {
		live = append(live, k.add(t, r.Uint64()))
	}
	before := k.Publish()
	for range 300_000 {
		i := r.IntN(len(live))
		k.Remove(live[i])
		k.free = append(k.free, live[i])
		live[i] = k.add(t, r.Uint64())
	}
	after := k.Publish()
	used := 0
	for i, l := range after.dir {
		if i == 0 || after.dir[i-1] != l {
			used += int(l.used)
		}
	}
	if used != len(live) {
		t.Errorf("%d slots are used, for %d keys", used, len(live))
	}
	if b, a := before.Bytes(), after.Bytes(); a > 2*b {
		t.Errorf("%d bytes became %d", b, a)
	}
}

// Readers have their versions while the next are made: what the race detector
// looks at.
func TestReadersOfOldVersions(t *testing.T) {
	r := random(t)
	k := newKeyed(mix)
	var rows VectorEditor[uint64]
	var wait sync.WaitGroup
	for version := range 50 {
		for range 200 {
			key := uint64(version)<<32 | r.Uint64()>>32
			*rows.Edit(k.add(t, key)) = key
		}
		x, v := k.Publish(), rows.Publish()
		wait.Go(func() {
			for i := range uint32(200 * (version + 1)) {
				key := *v.At(i)
				if got, found := x.Find(mix(key), func(n uint32) bool { return *v.At(n) == key }); !found || got != i {
					t.Errorf("version %d: row %d is found at %d, %v", version, i, got, found)
					return
				}
			}
		})
	}
	wait.Wait()
}

// The price of a version is the same at a thousand rows and at a million, but
// for the directory.
func BenchmarkOneMore(b *testing.B) {
	for name, n := range map[string]int{"rows=1k": 1_000, "rows=1M": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			keys := make([]uint64, n+1)
			for i := range keys {
				keys[i] = uint64(i)
			}
			e := NewIndexEditor(func(v uint32) uint64 { return mix(keys[v]) })
			for i := range n {
				if err := e.Put(uint32(i)); err != nil {
					b.Fatal(err)
				}
			}
			e.Publish()
			b.ReportAllocs()
			for b.Loop() {
				if err := e.Put(uint32(n)); err != nil {
					b.Fatal(err)
				}
				e.Publish()
				e.Remove(uint32(n))
			}
		})
	}
}
