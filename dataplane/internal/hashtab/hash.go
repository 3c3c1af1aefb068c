// Package hashtab hashes what tables are keyed by, with a secret of this boot:
// nobody outside can choose addresses that meet in one bucket.
//
// The hash folds 128-bit products of the input with secret words, the way
// wyhash does (Wang Yi): two multiplications for 16 bytes, no memory but the
// secret. It is no MAC; it need only be that an attacker, who never sees a
// hash, cannot build collisions. Pure functions; any goroutine may call them.
package hashtab

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// Secret keys the hash. The zero value is no secret: it is for tests.
type Secret struct{ a, b, c, d uint64 }

// NewSecret draws a secret from the kernel.
func NewSecret() Secret {
	var raw [32]byte
	// crypto/rand.Read never fails: it ends the process instead.
	_, _ = rand.Read(raw[:])
	return Secret{
		binary.LittleEndian.Uint64(raw[0:]) | 1, binary.LittleEndian.Uint64(raw[8:]) | 1,
		binary.LittleEndian.Uint64(raw[16:]) | 1, binary.LittleEndian.Uint64(raw[24:]) | 1,
	}
}

func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

// Addr hashes 16 bytes and a word of its company, as a port or a segment.
func (s *Secret) Addr(addr *[16]byte, with uint64) uint64 {
	lo, hi := binary.LittleEndian.Uint64(addr[0:8]), binary.LittleEndian.Uint64(addr[8:16])
	return fold(fold(lo^s.a, hi^s.b)^with, s.c)
}

// Word hashes a word.
func (s *Secret) Word(x uint64) uint64 { return fold(fold(x^s.a, s.b)^s.d, s.c) }

// Pair hashes two words.
func (s *Secret) Pair(x, y uint64) uint64 { return fold(fold(x^s.a, y^s.b)^s.d, s.c) }

// Flow hashes the two ends of a flow, given as the hashes of each, so that
// both directions have one hash.
func (s *Secret) Flow(x, y, rest uint64) uint64 { return fold((x+y)^s.d, (x^y)+rest^s.b) }
