package paged

import (
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// A first version of a million rows is not made one row at a time: that splits
// each page of an index a dozen times over, on one processor. What is to be in it
// is known, so rows are dealt out to pages first, and each page is filled once,
// by whatever processor is free (BenchmarkLoad).

// Spread cuts n things into stretches and has do go through each of them, as many
// at once as there are processors. It returns when all are done.
func Spread(n int, do func(from, to int)) {
	parts := min(runtime.GOMAXPROCS(0), 1+n/Rows)
	var wait sync.WaitGroup
	for i := range parts {
		wait.Go(func() { do(n*i/parts, n*(i+1)/parts) })
	}
	wait.Wait()
}

// Fill makes n rows of a vector that has none. set is called once for each, in
// order within a stretch, by several goroutines at once.
func (e *VectorEditor[T]) Fill(n int, set func(i uint32, row *T)) {
	pages := (n + Rows - 1) / Rows
	e.now.pages, e.made, e.dir = make([]*[Rows]T, pages), make([]uint64, pages), true
	for i := range e.made {
		e.made[i] = e.count
	}
	Spread(pages, func(from, to int) {
		for p := from; p < to; p++ {
			page := new([Rows]T)
			for i := p * Rows; i < min(n, (p+1)*Rows); i++ {
				set(uint32(i), &page[i%Rows])
			}
			e.now.pages[p] = page
		}
	})
}

// loadedUse is how much of a leaf Load fills on average: so little that hardly one
// has a number that finds no slot, and is to be split.
const loadedUse = leafSlots / 2

// Load puts numbers into an index that has none. same tells whether two have one
// key: it is called by several goroutines at once, as the hash is. If two have,
// twins is true, and the index is of no use.
func (e *IndexEditor) Load(numbers []uint32, same func(a, b uint32) bool) (twins bool, err error) {
	depth := uint8(min(maxDepth, bits.Len(uint(len(numbers)/loadedUse))))
	dealt := e.deal(numbers, depth)
	e.now, e.dir = Index{dir: make([]*leaf, 1<<depth), shift: 64 - depth}, true
	var twin atomic.Bool
	left := make([][]uint32, len(e.now.dir)) // what found no slot, by leaf
	Spread(len(e.now.dir), func(from, to int) {
		for i := from; i < to; i++ {
			l := &leaf{made: e.count, depth: depth}
			e.now.dir[i] = l
			for _, c := range dealt.of(i) {
				put, twinned := l.load(c, same)
				if twinned {
					twin.Store(true)
				}
				if !put {
					left[i] = append(left[i], c.number)
				}
			}
		}
	})
	for _, number := range slices.Concat(left...) {
		if _, found := e.Find(e.hash(number), func(other uint32) bool { return same(other, number) }); found {
			twin.Store(true)
			continue
		}
		if err := e.Put(number); err != nil {
			return twin.Load(), err
		}
	}
	return twin.Load(), nil
}

// card is a number and its hash.
type card struct {
	hash   uint64
	number uint32
}

// deal is numbers by the leaf that they are for.
type deal struct {
	cards []card
	ends  []uint32 // by leaf: where its cards end
}

func (d *deal) of(leaf int) []card {
	if leaf == 0 {
		return d.cards[:d.ends[0]]
	}
	return d.cards[d.ends[leaf-1]:d.ends[leaf]]
}

// deal sorts numbers by the first bits of their hashes: by counting, as many pass
// over them as there are steps below, and none compares.
func (e *IndexEditor) deal(numbers []uint32, depth uint8) deal {
	hashes := make([]uint64, len(numbers))
	Spread(len(numbers), func(from, to int) {
		for i := from; i < to; i++ {
			hashes[i] = e.hash(numbers[i])
		}
	})
	d := deal{cards: make([]card, len(numbers)), ends: make([]uint32, 1<<depth)}
	next := make([]uint32, 1<<depth+1)
	for _, h := range hashes {
		next[h>>(64-depth)+1]++
	}
	for i := range d.ends {
		next[i+1] += next[i]
		d.ends[i] = next[i+1]
	}
	for i, h := range hashes {
		at := &next[h>>(64-depth)]
		d.cards[*at] = card{h, numbers[i]}
		*at++
	}
	return d
}

// load is put, and tells whether a number of the same key is there already.
func (l *leaf) load(c card, same func(a, b uint32) bool) (put, twin bool) {
	tag := tagOf(c.hash)
	for i := uint64(0); i < probes; i++ {
		s := &l.slots[(c.hash+i)%leafSlots]
		switch {
		case s.tag == 0 && l.used < maxUsed:
			*s = slot{tag, c.number}
			l.used++
			return true, false
		case s.tag == 0:
			return false, false
		case s.tag == tag && same(s.value, c.number):
			return true, true
		}
	}
	return false, false
}
