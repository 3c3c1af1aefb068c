package classify

import (
	"math/bits"
	"slices"
)

// interner keeps each list of numbers once, under a number of its own: 0, 1, 2
// in the order in which they came. Lists are compared, never only their hashes.
type interner struct {
	words  []uint32 // all lists, one after the other
	ends   []int    // by number: where its list ends in words
	hashes []uint32 // by number
	slots  []uint32 // open addressing, at most half full: number + 1, or 0
}

func (t *interner) len() int { return len(t.ends) }

// start is where a list begins in words.
func (t *interner) start(n uint32) int {
	if n == 0 {
		return 0
	}
	return t.ends[n-1]
}

func (t *interner) list(n uint32) []uint32 { return t.words[t.start(n):t.ends[n]] }

// number returns the number of a list, a new one if it is new.
func (t *interner) number(list []uint32) uint32 {
	if 2*len(t.ends) >= len(t.slots) {
		t.grow()
	}
	hash := hashOf(list)
	mask := uint32(len(t.slots) - 1)
	at := hash & mask
	for ; t.slots[at] != 0; at = (at + 1) & mask {
		n := t.slots[at] - 1
		if t.hashes[n] == hash && slices.Equal(t.list(n), list) {
			return n
		}
	}
	t.words = append(t.words, list...)
	t.ends = append(t.ends, len(t.words))
	t.hashes = append(t.hashes, hash)
	t.slots[at] = uint32(len(t.ends))
	return uint32(len(t.ends) - 1)
}

// find returns the number of a list that may have none.
func (t *interner) find(list []uint32) (uint32, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	hash := hashOf(list)
	mask := uint32(len(t.slots) - 1)
	for at := hash & mask; t.slots[at] != 0; at = (at + 1) & mask {
		n := t.slots[at] - 1
		if t.hashes[n] == hash && slices.Equal(t.list(n), list) {
			return n, true
		}
	}
	return 0, false
}

func (t *interner) grow() {
	t.slots = make([]uint32, max(16, 2*len(t.slots)))
	mask := uint32(len(t.slots) - 1)
	for n, hash := range t.hashes {
		at := hash & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = uint32(n + 1)
	}
}

// hashOf takes two words a step: a product of 128 bits, whose halves are folded.
func hashOf(list []uint32) uint32 {
	const odd = 0x9e3779b97f4a7c15
	h := uint64(len(list))
	for ; len(list) > 1; list = list[2:] {
		high, low := bits.Mul64(h^uint64(list[0])<<32^uint64(list[1])^odd, 0xbf58476d1ce4e5b9)
		h = high ^ low
	}
	if len(list) > 0 {
		h ^= uint64(list[0])
	}
	return uint32(mix(h) >> 32)
}

// mix is the finaliser of SplitMix64 (Steele et al., OOPSLA 2014): every bit
// of what goes in tells in every bit of what comes out.
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
