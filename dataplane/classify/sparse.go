package classify

// pair is a slot: two narrow classes and their program. Program 0 marks an
// empty slot: it is no rule's, and needs none.
type pair struct{ src, dst, program uint32 }

// A bucket is a cache line of slots.
const slotsPerBucket = 5

type bucket struct {
	slots [slotsPerBucket]pair
	_     uint32
}

// sparse finds the program of a pair of narrow classes: a cuckoo table, each
// pair in one of two buckets (Pagh and Rodler, J. Algorithms 2004; buckets:
// Dietzfelbinger and Weidling, TCS 2007). So a lookup is two cache lines at the
// most, and 90 % of the slots are used. It is built once and never changed.
type sparse struct {
	buckets []bucket
	seed    uint64
}

// newSparse builds the table of pairs, none twice.
func newSparse(pairs []pair) sparse {
	n := len(pairs)*10/(9*slotsPerBucket) + 1
	for seed := uint64(1); ; seed++ {
		t := sparse{buckets: make([]bucket, n), seed: seed}
		if t.fill(pairs) {
			return t
		}
		n += n/16 + 1
	}
}

func (t *sparse) homes(src, dst uint32) (one, other uint32) {
	h := mix(uint64(src)<<32 | uint64(dst) ^ t.seed<<32)
	n := uint64(len(t.buckets))
	return uint32(h >> 32 * n >> 32), uint32(h & 0xffffffff * n >> 32)
}

func (b *bucket) program(src, dst uint32) uint32 {
	for i := range b.slots {
		if s := &b.slots[i]; s.src == src && s.dst == dst {
			return s.program
		}
	}
	return 0
}

// fill puts every pair into one of its homes. Where both are full, one of
// those there is moved to its other home, for a bounded number of steps.
func (t *sparse) fill(pairs []pair) bool {
	turn := t.seed
	for _, p := range pairs {
		one, other := t.homes(p.src, p.dst)
		if t.buckets[one].put(p) || t.buckets[other].put(p) {
			continue
		}
		at, placed := one, false
		for step := 0; step < 1000 && !placed; step++ {
			turn = mix(turn)
			victim := &t.buckets[at].slots[turn%slotsPerBucket]
			p, *victim = *victim, p
			if one, other = t.homes(p.src, p.dst); at == one {
				at = other
			} else {
				at = one
			}
			placed = t.buckets[at].put(p)
		}
		if !placed {
			return false
		}
	}
	return true
}

func (b *bucket) put(p pair) bool {
	for i := range b.slots {
		if b.slots[i].program == 0 {
			b.slots[i] = p
			return true
		}
	}
	return false
}
