package paged

import (
	"fmt"
	"testing"
)

// What is loaded at once is what would be there if it had been put one by one, and
// goes on from there: by hashes as they come, and by some that fall together, so
// that leaves are split.
func TestLoadIsAsIfPutOneByOne(t *testing.T) {
	r := random(t)
	for name, hash := range map[string]func(uint64) uint64{
		"mixed":   mix,
		"bunches": func(key uint64) uint64 { return mix(key)&^0x3ff | 0x3fe + key%9 },
	} {
		for _, n := range []int{0, 1, 5, 300, 800, 5_000, 40_000} {
			k := newKeyed(hash)
			var numbers []uint32
			for i := range n {
				k.keys = append(k.keys, uint64(i)*7)
				if i%5 > 0 {
					numbers = append(numbers, uint32(i))
				}
			}
			same := func(a, b uint32) bool { return k.keys[a] == k.keys[b] }
			if twins, err := k.Load(numbers, same); twins || err != nil {
				t.Fatalf("%s, %d numbers: twins %v, %v", name, n, twins, err)
			}
			first := k.Publish()
			there := func(x *Index, key uint64) (uint32, bool) {
				return x.Find(hash(key), func(v uint32) bool { return k.keys[v] == key })
			}
			check := func(x *Index, want func(i int) bool) {
				t.Helper()
				for i := range n {
					if at, found := there(x, uint64(i)*7); found != want(i) || found && at != uint32(i) {
						t.Fatalf("%s, %d of %d numbers: %d, %v", name, i, n, at, found)
					}
				}
			}
			check(&first, func(i int) bool { return i%5 > 0 })
			for i := range n { // the other fifth comes, another one goes
				if i%5 == 0 {
					if err := k.Put(uint32(i)); err != nil {
						t.Fatal(err)
					}
				} else if i%5 == 1 {
					k.Remove(uint32(i))
				}
			}
			next := k.Publish()
			check(&next, func(i int) bool { return i%5 != 1 })
			check(&first, func(i int) bool { return i%5 > 0 })
			if n > 0 {
				k.keys[r.IntN(n)] = ^uint64(0)
			}
		}
	}
}

// Two numbers of one key are told, wherever they stand, and where a leaf has no room
// for the second.
func TestLoadTellsTwins(t *testing.T) {
	r := random(t)
	for _, hash := range []func(uint64) uint64{mix, func(key uint64) uint64 { return mix(key / 32) }} {
		for range 40 {
			k := newKeyed(hash)
			n := 2 + r.IntN(3000)
			numbers := make([]uint32, n)
			for i := range numbers {
				numbers[i] = uint32(i)
				k.keys = append(k.keys, uint64(i)*2)
			}
			a, b := r.IntN(n), r.IntN(n)
			k.keys[a] = k.keys[b]
			twins, err := k.Load(numbers, func(x, y uint32) bool { return k.keys[x] == k.keys[y] })
			if err != nil || twins != (a != b) {
				t.Fatalf("%d and %d of %d have one key: twins %v, %v", a, b, n, twins, err)
			}
		}
	}
}

// Keys that no bits tell apart are refused by Load, too.
func TestLoadOfEqualHashesIsFull(t *testing.T) {
	k := newKeyed(func(uint64) uint64 { return 77 })
	var numbers []uint32
	for i := range uint32(17) {
		k.keys, numbers = append(k.keys, uint64(i)), append(numbers, i)
	}
	if _, err := k.Load(numbers, func(a, b uint32) bool { return a == b }); err != ErrFull {
		t.Fatalf("17 keys of one hash: %v", err)
	}
}

// Rows that are filled at once are those that are edited one by one, and the next
// version is made of them.
func TestFillIsAsIfEdited(t *testing.T) {
	for _, n := range []int{0, 1, Rows - 1, Rows, Rows + 1, 10*Rows + 3} {
		var e VectorEditor[int]
		e.Fill(n, func(i uint32, row *int) { *row += int(i) + 1 })
		first := e.Publish()
		*e.Edit(uint32(n)) = -1
		next := e.Publish()
		for i := range n {
			if *first.At(uint32(i)) != i+1 || *next.At(uint32(i)) != i+1 {
				t.Fatalf("row %d of %d: %d, then %d", i, n, *first.At(uint32(i)), *next.At(uint32(i)))
			}
		}
		if *next.At(uint32(n)) != -1 || first.Has(uint32(n)) && *first.At(uint32(n)) != 0 {
			t.Fatalf("row %d, which came later, is in the version before", n)
		}
	}
}

// A million numbers at once, and one by one.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		keys, numbers := make([]uint64, n), make([]uint32, n)
		for i := range keys {
			keys[i], numbers[i] = uint64(i), uint32(i)
		}
		hash := func(v uint32) uint64 { return mix(keys[v]) }
		for how, make := range map[string]func(e *IndexEditor){
			"once": func(e *IndexEditor) {
				if twins, err := e.Load(numbers, func(x, y uint32) bool { return keys[x] == keys[y] }); twins || err != nil {
					b.Fatal(twins, err)
				}
			},
			"one": func(e *IndexEditor) {
				for _, v := range numbers {
					if err := e.Put(v); err != nil {
						b.Fatal(err)
					}
				}
			},
		} {
			b.Run(fmt.Sprintf("how=%s/rows=%d", how, n), func(b *testing.B) {
				b.ReportAllocs()
				size := 0
				for b.Loop() {
					e := NewIndexEditor(hash)
					make(&e)
					x := e.Publish()
					size = x.Bytes()
				}
				b.ReportMetric(float64(size)/float64(n), "bytes/row")
			})
		}
	}
}
