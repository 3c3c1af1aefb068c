package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds the bytes of b, as big-endian 16-bit words, to sum. An odd last byte
// counts as the high half of a word, so only the last of several parts may be
// of odd length. b is at most 64 KiB and some headers; sum, what other calls
// returned: 2^32 words may be added before 64 bits overflow.
//
// Long inputs are added 8 bytes at a time with the carry kept, in the
// machine's byte order: a ones' complement sum is the same in either, but for
// a swap at the end (RFC 1071 2 B). It is what BenchmarkSum/64K measures.
func Sum(b []byte, sum uint64) uint64 {
	if len(b) >= 64 {
		var long uint64
		long, b = sumBlocks(b)
		sum += long
	}
	for len(b) >= 8 {
		v := binary.BigEndian.Uint64(b)
		sum += v>>32 + v&0xffffffff
		b = b[8:]
	}
	if len(b) >= 4 {
		sum += uint64(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

// sumBlocks sums as many blocks of 64 bytes as there are, and returns the rest.
func sumBlocks(b []byte) (sum uint64, rest []byte) {
	var carry uint64
	for len(b) >= 64 {
		c := b[:64:64]
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(c[0:8]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(c[8:16]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(c[16:24]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(c[24:32]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(c[32:40]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(c[40:48]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(c[48:56]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(c[56:64]), carry)
		b = b[64:]
	}
	// A sum with a carry out is at most 2^64-2, so this addition has none.
	return uint64(bits.ReverseBytes16(Fold(sum + carry))), b
}

// Fold reduces a sum to 16 bits, not complemented.
func Fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// Of returns the checksum of b plus a sum: folded and complemented, as it is
// written into a header whose field is zero in b.
func Of(b []byte, sum uint64) uint16 { return ^Fold(Sum(b, sum)) }

// Verify tells whether b, with its checksum field in it, and a pseudo-header's
// sum (0 without one) is right.
func Verify(b []byte, sum uint64) bool { return Fold(Sum(b, sum)) == 0xffff }

// VerifyHeader is Verify of an IPv4 header without options, which nearly every
// packet has: five words at once, in the machine's byte order, since all ones
// are all ones in either (RFC 1071 2 B).
func VerifyHeader(b *[20]byte) bool {
	le := binary.LittleEndian
	sum := uint64(le.Uint32(b[0:])) + uint64(le.Uint32(b[4:])) + uint64(le.Uint32(b[8:])) +
		uint64(le.Uint32(b[12:])) + uint64(le.Uint32(b[16:]))
	return sum != 0 && sum%0xffff == 0 // which is to fold it, for 1<<16 is 1 more: small enough to be inlined
}

// Pseudo returns the sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) of
// two addresses, both of 4 bytes or both of 16, a protocol and a length.
func Pseudo(src, dst []byte, proto uint8, length uint32) uint64 {
	return Sum(dst, Sum(src, uint64(proto)+uint64(length>>16)+uint64(length&0xffff)))
}
