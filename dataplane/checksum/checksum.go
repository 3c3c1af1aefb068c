// Package checksum is the Internet checksum: sums of bytes (RFC 1071), updates
// of a sum for a change of a few of them (RFC 1624), and pseudo-headers.
//
// All functions are pure, allocate nothing and may be called from any
// goroutine. A sum is carried as a uint64 of native additions of big-endian
// words, unfolded, so that sums add up in any order; Fold makes it the 16 bits
// of the wire.
package checksum

import "encoding/binary"

// Sum adds the bytes of b, as big-endian 16-bit words, to sum. An odd last byte
// counts as the high half of a word. It adds 32 bits at a time: a carry out of
// 64 bits would need more than 2^32 words.
func Sum(b []byte, sum uint64) uint64 {
	for len(b) >= 32 {
		c := b[:32:32]
		sum += uint64(binary.BigEndian.Uint32(c[0:4])) + uint64(binary.BigEndian.Uint32(c[4:8])) +
			uint64(binary.BigEndian.Uint32(c[8:12])) + uint64(binary.BigEndian.Uint32(c[12:16])) +
			uint64(binary.BigEndian.Uint32(c[16:20])) + uint64(binary.BigEndian.Uint32(c[20:24])) +
			uint64(binary.BigEndian.Uint32(c[24:28])) + uint64(binary.BigEndian.Uint32(c[28:32]))
		b = b[32:]
	}
	for len(b) >= 4 {
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
// written into a header.
func Of(b []byte, sum uint64) uint16 { return ^Fold(Sum(b, sum)) }

// Pseudo returns the sum of the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) of
// two addresses, both of 4 bytes or both of 16, a protocol and a length.
func Pseudo(src, dst []byte, proto uint8, length uint32) uint64 {
	return Sum(dst, Sum(src, uint64(proto)+uint64(length>>16)+uint64(length&0xffff)))
}

// Update returns checksum with a 16-bit word changed from old to new (RFC 1624
// equation 3): no other byte is read.
func Update(checksum, old, new uint16) uint16 {
	return ^Fold(uint64(^checksum) + uint64(^old) + uint64(new))
}

// UpdateBytes is Update for words of any even number of bytes, as an address;
// old and new are of one length.
func UpdateBytes(checksum uint16, old, new []byte) uint16 {
	sum := uint64(^checksum) + Sum(new, 0)
	for i := 0; i+1 < len(old); i += 2 {
		sum += uint64(^binary.BigEndian.Uint16(old[i:]))
	}
	return ^Fold(sum)
}
