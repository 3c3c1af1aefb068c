package packet

import "bulkhead/dataplane/checksum"

// WireLen returns the length in bytes of the longest IP packet that f will be
// on a wire: what an MTU is held against. For a superframe that is a segment's.
// f is parsed, of KindIP or KindFragment; tunnel headers do not count.
func WireLen(f *Frame) int {
	h := &f.Headers
	if f.Offload.GSO == GSONone {
		return int(h.PacketEnd) - int(h.L3)
	}
	return int(h.Payload) - int(h.L3) + min(int(f.Offload.Size), int(h.PacketEnd)-int(h.Payload))
}

// Segments returns into how many frames f will be cut for a way out that takes
// no superframes: 1 for a frame that is none.
func Segments(f *Frame) int {
	if f.Offload.GSO == GSONone || f.Offload.Size == 0 {
		return 1
	}
	payload, size := int(f.Headers.PacketEnd)-int(f.Headers.Payload), int(f.Offload.Size)
	return (payload + size - 1) / size
}

// Segmenter cuts one superframe into frames with their checksums finished; see
// [checksum.Segmenter], which does the work. The zero value is ready for Init.
type Segmenter struct {
	cut checksum.Segmenter
}

// Init prepares to cut f, a parsed superframe. It returns false if f is none,
// or if its checksum is known to be bad: it would be mended.
//
// Headers were parsed before a tunnel was pushed, so with f.Outer set their
// offsets count from behind it.
func (s *Segmenter) Init(f *Frame) bool {
	h, o, outer := &f.Headers, &f.Offload, int(f.Outer)
	if o.GSO == GSONone || o.Checksum != ChecksumPartial {
		return false
	}
	return s.cut.Init(checksum.Superframe{
		Frame: f.Bytes(), Outer: outer,
		L3: outer + int(h.L3), L4: outer + int(h.L4),
		Payload: outer + int(h.Payload), End: outer + int(h.PacketEnd),
		Size: int(o.Size), V6: h.V6, TCP: o.GSO.isTCP(),
	})
}

// NextLen returns the length in bytes of the next segment as a frame, tunnel
// included; 0 after the last.
func (s *Segmenter) NextLen() int { return s.cut.NextLen() }

// Next writes the next segment to the front of dst, which is at least NextLen
// bytes long, and returns its length; 0 after the last.
func (s *Segmenter) Next(dst []byte) int { return s.cut.Next(dst) }
