package classify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A list has one number, however often it comes and whatever came between.
func TestInternerAgreesWithAMap(t *testing.T) {
	r := random(t)
	var in interner
	known := map[string]uint32{}
	for range 50_000 {
		list := make([]uint32, r.IntN(4))
		for i := range list {
			list[i] = uint32(r.IntN(20))
		}
		key := fmt.Sprint(list)
		want, have := known[key]
		if !have {
			want = uint32(len(known))
			known[key] = want
		}
		if got := in.number(list); got != want || !slices.Equal(in.list(got), list) {
			t.Fatalf("%v: number %d, %v; want %d", list, got, in.list(got), want)
		}
	}
}

// The sparse table has every pair that it was built of, and no other.
func TestSparseAgreesWithAMap(t *testing.T) {
	r := random(t)
	for _, n := range []int{0, 1, 2, 4, 5, 6, 50, 1000, 200_000} {
		known := map[[2]uint32]uint32{}
		var pairs []pair
		span := n + 3
		for len(pairs) < n {
			p := pair{uint32(1 + r.IntN(span)), uint32(1 + r.IntN(span)), uint32(1 + r.IntN(1<<30))}
			if _, have := known[[2]uint32{p.src, p.dst}]; !have {
				known[[2]uint32{p.src, p.dst}] = p.program
				pairs = append(pairs, p)
			}
		}
		table := newSparse(pairs, func(n uint32) program { return program(n) })
		for _, p := range pairs {
			if got := table.program(p.src, p.dst); got != program(p.program) {
				t.Fatalf("%d pairs: %+v has program %d", n, p, got)
			}
		}
		for range 10_000 {
			src, dst := uint32(r.IntN(span+1)), uint32(r.IntN(span+1))
			if got := table.program(src, dst); got != program(known[[2]uint32{src, dst}]) {
				t.Fatalf("%d pairs: %d, %d has program %d, not %d", n, src, dst, got, known[[2]uint32{src, dst}])
			}
		}
		if size := slotsPerBucket * len(table.buckets); n > 1000 && size > n*3/2 {
			t.Errorf("%d pairs take %d slots", n, size)
		}
	}
}

// Two elements are in one class exactly if every naming named both or neither.
func TestPartitionAgreesWithItsDefinition(t *testing.T) {
	r := random(t)
	for range 200 {
		n := 1 + r.IntN(40)
		p := newPartition(n)
		named := make([]string, n)
		for range r.IntN(12) {
			p.begin()
			for i, at := range r.Perm(n) {
				if i%2 == r.IntN(2) {
					p.take(uint32(at))
					named[at] += "1"
				} else {
					named[at] += "0"
				}
			}
		}
		classes := p.number()
		distinct := slices.Clone(named)
		slices.Sort(distinct)
		if want := len(slices.Compact(distinct)); int(classes) != want {
			t.Fatalf("%d classes, want %d", classes, want)
		}
		for i := range n {
			for j := range n {
				if (p.class[i] == p.class[j]) != (named[i] == named[j]) {
					t.Fatalf("%d and %d: classes %d and %d, named %s and %s", i, j, p.class[i], p.class[j], named[i], named[j])
				}
			}
		}
	}
}

// With a cell of a table altered the list is contradicted: the proof that the
// tests above can fail. Not every cell: some are of no question's, some say
// twice what another says, too.
func TestABrokenCellIsSeen(t *testing.T) {
	r := random(t)
	for _, table := range []struct {
		name  string
		spoil func(*rand.Rand, *table)
	}{
		{"matrix", func(r *rand.Rand, e *table) { spoil(r, e.pairs[broad][broad].cells) }},
		{"programs", func(r *rand.Rand, e *table) { spoil(r, e.programs) }},
		{"ports", func(r *rand.Rand, e *table) { spoil(r, e.ports.cells) }},
		{"shapes", func(r *rand.Rand, e *table) { spoil(r, e.pages) }},
		{"lists", func(r *rand.Rand, e *table) { spoil(r, e.rules) }},
	} {
		seen, tries := 0, 100
		for range tries {
			if seenBroken(t, r, table.spoil) {
				seen++
			}
		}
		t.Logf("%s: seen %d times in %d", table.name, seen, tries)
		if seen == 0 {
			t.Errorf("%s: no broken cell was seen in %d", table.name, tries)
		}
	}
}

// spoil gives a cell the value of another one.
func spoil[T any](r *rand.Rand, cells []T) {
	if n := len(cells); n > 0 {
		cells[r.IntN(n)] = cells[r.IntN(n)]
	}
}

// seenBroken spoils a table, and asks. To read beyond it is to be seen, too.
func seenBroken(t *testing.T, r *rand.Rand, spoil func(*rand.Rand, *table)) (seen bool) {
	defer func() { seen = seen || recover() != nil }()
	w := newWorld(r, 12)
	e := w.link(t)
	spoil(r, e.egress[0])
	for range 5000 {
		f := w.drawFlow(r)
		rule, _ := e.ask(f)
		if want, _ := w.linear(f); rule != want {
			return true
		}
	}
	return false
}
