// Package checksum is the Internet checksum and what hangs on it: sums of bytes
// (RFC 1071), updates of a sum for a change of a few of them (RFC 1624),
// pseudo-headers, partial sums that a sender left to others, and the cutting of
// superframes into the segments of which each needs a sum of its own.
//
// # Sums
//
// A sum is carried as a uint64 of big-endian 16-bit words, added natively and
// not folded, so that sums of parts add up in any order; Fold makes it the 16
// bits of the wire. What stands in a header is the complement ([Of]). Zero has
// two forms in ones' complement, 0x0000 and 0xffff. Only a sum of nothing but
// zero bytes folds to 0x0000, which no packet with a pseudo-header is; a right
// packet, its checksum included, folds to 0xffff. [Update] is equation 3 of RFC
// 1624, which keeps the two forms apart in all cases but the one that the RFC
// leaves open: all else is zero. An ICMP echo reply can be that; who updates
// its checksum writes a zero as 0xffff.
//
// # Four states
//
// The checksum of a frame inside the switch may be partial: the field holds
// the folded, not complemented, sum of the pseudo-header, and the sum over the
// transport header and payload is still to be added. [Finish] adds it. The
// kernel hands such frames to a TAP with a mark, and to an AF_XDP socket on a
// veth without one; [IsPartial] tells the latter.
//
// # What it does not do
//
// It does not parse: callers give offsets that they have checked
// (packet.Parse has). Only [Segmenter.Init] checks its own, since a mistake
// there would be written into many frames.
//
// Functions are pure, allocate nothing and may be called from any goroutine; a
// Segmenter belongs to one goroutine.
package checksum
