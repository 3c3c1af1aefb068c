package identity

import (
	"math/bits"

	"bulkhead/dataplane/internal/hashtab"
)

// probes is the most slots that a look-up reads.
const probes = 16

// index is an open-addressed hash table of numbers; what a number's key is,
// the caller knows. It is built once, with new secrets and more room until no
// key is further than probes from its place.
type index struct {
	secret hashtab.Secret
	slots  []slot
	mask   uint64
}

type slot struct {
	tag   uint32 // high half of the hash, never zero in use
	value uint32
}

func tag(hash uint64) uint32 { return uint32(hash>>32) | 1 }

// find returns the number under a hash that is says is the right one.
func (x *index) find(hash uint64, is func(uint32) bool) (uint32, bool) {
	if x.slots == nil {
		return 0, false
	}
	want := tag(hash)
	for i := uint64(0); i < probes; i++ {
		s := x.slots[(hash+i)&x.mask]
		if s.tag == want && is(s.value) {
			return s.value, true
		}
		if s.tag == 0 {
			return 0, false
		}
	}
	return 0, false
}

// buildIndex makes an index of n keys.
func buildIndex(n int, hash func(secret *hashtab.Secret, i int) uint64) index {
	size := 1 << bits.Len(uint(max(2*n, 8)-1))
	for ; ; size *= 2 {
		x := index{secret: hashtab.NewSecret(), slots: make([]slot, size), mask: uint64(size - 1)}
		if x.fill(n, hash) {
			return x
		}
	}
}

func (x *index) fill(n int, hash func(secret *hashtab.Secret, i int) uint64) bool {
	for i := range n {
		if !x.put(hash(&x.secret, i), uint32(i)) {
			return false
		}
	}
	return true
}

func (x *index) put(hash uint64, value uint32) bool {
	for i := uint64(0); i < probes; i++ {
		if s := &x.slots[(hash+i)&x.mask]; s.tag == 0 {
			*s = slot{tag(hash), value}
			return true
		}
	}
	return false
}
