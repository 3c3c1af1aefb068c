package checksum

import "encoding/binary"

// Finish finishes a partial checksum: b is the packet from where summing
// begins to the end of the IP packet, and the field is at offset, 2 bytes that
// lie in b. The field's own value, the pseudo-header's sum, is summed with the
// rest. A result of zero is written as 0xffff, its other form: UDP needs that
// (RFC 768) and to other protocols the two are one, as in Linux's
// skb_checksum_help.
func Finish(b []byte, offset int) {
	sum := Of(b, 0)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[offset:], sum)
}

// IsPartial tells whether a transport checksum field is a partial one: whether
// it equals the folded sum of the pseudo-header, length and protocol included.
//
// A whole checksum that does so by chance, one in 65,535, is none the worse
// for it: ~fold(pseudo+rest) == fold(pseudo), so finishing sums to the same
// value again.
func IsPartial(field uint16, pseudo uint64) bool {
	return field == Fold(pseudo)
}
