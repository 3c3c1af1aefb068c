package hashtab

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync"
)

// Secret keys the hash. It is drawn before the table that uses it exists; the
// zero value is no secret.
type Secret [6]uint64

// Boot returns the secret of this boot of the switch: always the same one,
// drawn at the first call. Tables that share hashes, as the shards of one
// table do, use it.
var Boot = sync.OnceValue(NewSecret)

// NewSecret draws a secret from the system's random source, which never fails
// (crypto/rand ends the program instead).
func NewSecret() Secret {
	var b [len(Secret{}) * 8]byte
	rand.Read(b[:])
	var s Secret
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[i*8:]) | 1 // odd: a factor loses no bits
	}
	return s
}

// OrBoot returns s, or the secret of this boot if s is the zero value.
func (s Secret) OrBoot() Secret {
	if s == (Secret{}) {
		return Boot()
	}
	return s
}

// Word hashes one word.
func (s *Secret) Word(a uint64) uint64 {
	return fold(fold(a^s[0], s[1])^s[2], s[3])
}

// Pair hashes two words, in order.
func (s *Secret) Pair(a, b uint64) uint64 {
	return fold(fold(a^s[0], b^s[1])^s[2], s[3])
}

// Addr hashes an address and a word of its company: a port, a segment, a zone.
func (s *Secret) Addr(addr *[16]byte, with uint64) uint64 {
	hi := binary.LittleEndian.Uint64(addr[0:8])
	lo := binary.LittleEndian.Uint64(addr[8:16])
	return fold((fold(hi^s[0], lo^s[1])+with*s[4])^s[2], s[3])
}

// Flow hashes a flow so that both directions have the same hash: two
// addresses, the port that goes with each, and what both share (protocol,
// zone). Each end is folded by itself; the sum and the difference of the two,
// which do not know which came first, make the hash.
func (s *Secret) Flow(src, dst *[16]byte, sport, dport uint16, shared uint32) uint64 {
	a := s.end(src, sport)
	b := s.end(dst, dport)
	return fold((a+b)^s[2], (a^b)+(s[3]^uint64(shared)*s[5]))
}

// end hashes one end of a flow. The port has a factor of its own: xored into
// the address it could be cancelled by who chooses both.
func (s *Secret) end(addr *[16]byte, port uint16) uint64 {
	hi := binary.LittleEndian.Uint64(addr[0:8])
	lo := binary.LittleEndian.Uint64(addr[8:16])
	return fold(hi^s[0], lo^s[1]) + uint64(port)*s[4]
}

// fold multiplies to 128 bits and folds the halves together.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
