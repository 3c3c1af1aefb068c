package classify

import "math/bits"

// pair is two classes and the number of their program.
type pair struct{ src, dst, program uint32 }

// sparse finds the program of a pair of classes: a cuckoo table, each pair in one
// of two buckets (Pagh and Rodler, J. Algorithms 2004; buckets: Dietzfelbinger and
// Weidling, TCS 2007), a cache line each. The first has nearly all, and says so if
// one is in its other, so that a lookup of what is there or of what is not is one
// line, and two at the most. It is built once and never changed.
//
// Program and pair stand together: were there the program's number only, that would
// be one more line, of a table as large.
type sparse struct {
	buckets []bucket
	seed    uint64
}

const (
	slotsPerBucket = 4
	usedOf10       = 7 // slots used, of 10: with more, more pairs are in their other bucket
)

// bucket is a cache line of slots. Key 0 is an empty slot: class 0 is of those whom
// no rule names, and in no pair.
type bucket struct {
	keys     [slotsPerBucket]uint64
	programs [slotsPerBucket]program
}

// spilled is set in the first key of a bucket if a pair whose first home it is had
// to go to its other. Numbers of classes leave that bit free.
const spilled = 1 << 63

func keyOfPair(src, dst uint32) uint64 { return uint64(src)<<32 | uint64(dst) }

// newSparse builds the table of pairs, none twice.
func newSparse(pairs []pair, programs func(uint32) program) sparse {
	n := len(pairs)*10/(usedOf10*slotsPerBucket) + 1
	for seed := mix(1); ; seed = mix(seed) {
		t := sparse{buckets: make([]bucket, n), seed: seed}
		if t.fill(pairs, programs) {
			t.markSpilled()
			return t
		}
		n += n/16 + 1
	}
}

// homes are two halves of a product, folded. That is as much of a hash as is
// needed: a policy's pairs are nobody's choice who sends frames, and where they do
// not fit there is another seed.
func (t *sparse) homes(key uint64) (one, other uint32) {
	high, low := bits.Mul64(key^t.seed, 0x9e3779b97f4a7c15)
	n := uint64(len(t.buckets))
	return uint32((high ^ low) >> 32 * n >> 32), uint32((high ^ low) & 0xffffffff * n >> 32)
}

// program returns noProgram for a pair that is not there.
func (t *sparse) program(src, dst uint32) program {
	key := keyOfPair(src, dst)
	one, other := t.homes(key)
	p, more := t.buckets[one].program(key)
	if more == 0 {
		return p
	}
	p, _ = t.buckets[other].program(key)
	return p
}

// program returns the program of a key, and 1 if it is to be looked for in its
// other bucket. It compares with all slots and jumps nowhere.
func (b *bucket) program(key uint64) (p program, more uint64) {
	p0, p1, p2, p3 := b.programs[0], b.programs[1], b.programs[2], b.programs[3]
	first := b.keys[0]
	if first&^spilled == key {
		p = p0
	}
	if b.keys[1] == key {
		p = p1
	}
	if b.keys[2] == key {
		p = p2
	}
	if b.keys[3] == key {
		p = p3
	}
	more = first >> 63
	if p != noProgram {
		more = 0
	}
	return p, more
}

// fill puts every pair into one of its homes, the first if there is room. Where
// both are full, one of those there is moved to its other home, for a bounded
// number of steps.
func (t *sparse) fill(pairs []pair, programs func(uint32) program) bool {
	turn := t.seed
	for _, pair := range pairs {
		key, p := keyOfPair(pair.src, pair.dst), programs(pair.program)
		one, other := t.homes(key)
		if t.buckets[one].put(key, p) || t.buckets[other].put(key, p) {
			continue
		}
		at, placed := one, false
		for step := 0; step < 1000 && !placed; step++ {
			turn = mix(turn)
			b := &t.buckets[at]
			victim := turn % slotsPerBucket
			key, b.keys[victim] = b.keys[victim], key
			p, b.programs[victim] = b.programs[victim], p
			if one, other = t.homes(key); at == one {
				at = other
			} else {
				at = one
			}
			placed = t.buckets[at].put(key, p)
		}
		if !placed {
			return false
		}
	}
	return true
}

func (b *bucket) put(key uint64, p program) bool {
	for i := range b.keys {
		if b.keys[i] == 0 {
			b.keys[i], b.programs[i] = key, p
			return true
		}
	}
	return false
}

// markSpilled marks the first homes of those that are in their other.
func (t *sparse) markSpilled() {
	for at := range t.buckets {
		for _, key := range t.buckets[at].keys {
			if key &^= spilled; key == 0 {
				continue
			}
			if one, _ := t.homes(key); int(one) != at {
				t.buckets[one].keys[0] |= spilled
			}
		}
	}
}
