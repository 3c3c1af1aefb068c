package fragment

import "bulkhead/dataplane/internal/hugemem"

// MaxHeldLen is the longest frame that is held, in bytes: a jumbo one.
const MaxHeldLen = 10224

// held is a frame that waits for the first fragment of its packet.
type held struct {
	next   uint32 // of its packet, or of the free list, plus one
	length uint32
	bytes  [MaxHeldLen]byte
}

// store is the memory for them.
type store struct {
	memory *hugemem.Table[held]
	free   uint32 // plus one
	fresh  uint32
}

func (s *store) reserve(n uint32) (err error) {
	s.memory, err = hugemem.Make[held](int(n))
	return err
}

// put keeps a copy of a frame; kept is false if there is no room for it.
func (s *store) put(frame []byte) (at uint32, kept bool) {
	if len(frame) > MaxHeldLen {
		return 0, false
	}
	switch {
	case s.free != 0:
		at = s.free - 1
		s.free = s.memory.Rows[at].next
	case int(s.fresh) < len(s.memory.Rows):
		at = s.fresh
		s.fresh++
	default:
		return 0, false
	}
	h := &s.memory.Rows[at]
	h.next, h.length = 0, uint32(copy(h.bytes[:], frame))
	return at, true
}

func (s *store) give(at uint32) {
	s.memory.Rows[at].next = s.free
	s.free = at + 1
}
