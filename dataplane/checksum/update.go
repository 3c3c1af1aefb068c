package checksum

import "encoding/binary"

// Update returns a checksum with a 16-bit word of what it covers changed from
// old to new, by RFC 1624 equation 3: HC' = ~(~HC + ~m + m'). No other byte is
// read. A UDP checksum of zero, which says that there is none, is not to be
// updated; a result of zero is to be written as 0xffff there (RFC 768).
func Update(checksum, old, new uint16) uint16 {
	return ^Fold(uint64(^checksum) + uint64(^old) + uint64(new))
}

// UpdateBytes is Update for several words, as of an address. old and new are
// of one, even, length, and begin at an even offset of what is summed.
func UpdateBytes(checksum uint16, old, new []byte) uint16 {
	sum := uint64(^checksum) + Sum(new, 0)
	for i := 0; i+1 < len(old); i += 2 {
		sum += uint64(^binary.BigEndian.Uint16(old[i:]))
	}
	return ^Fold(sum)
}

// UpdatePartial is UpdateBytes for a partial checksum, which is not
// complemented, and in which only changes of the pseudo-header count:
// addresses and length. A change behind the pseudo-header leaves it alone.
func UpdatePartial(partial uint16, old, new []byte) uint16 {
	return ^UpdateBytes(^partial, old, new)
}
