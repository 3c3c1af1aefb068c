package mem

import "bulkhead/dataplane/packet"

// slot is one frame at rest.
type slot struct {
	buf        []byte // headroom, frame, tailroom; grows to the longest it held
	start, end int
	offload    packet.Offload
}

// set copies a frame into the slot.
func (s *slot) set(frame []byte, o packet.Offload) {
	s.start, s.end = packet.Headroom, packet.Headroom+len(frame)
	if len(s.buf) < s.end+tailroom {
		s.buf = make([]byte, s.end+tailroom)
	}
	copy(s.buf[s.start:], frame)
	s.offload = o
}

// tailroom is left behind a frame for an answer in place that is longer.
const tailroom = 576

// ring is a bounded queue of slots. Those at its head may be lent out: they are
// in use until returned. The owner's lock guards it.
type ring struct {
	slots             []slot
	head, lent, count int // count includes lent
}

func newRing(n int) ring { return ring{slots: make([]slot, n)} }

// push returns the next free slot, or nil.
func (r *ring) push() *slot {
	if r.count == len(r.slots) {
		return nil
	}
	r.count++
	return &r.slots[(r.head+r.count-1)%len(r.slots)]
}

// lend returns the oldest slot not lent yet, or nil.
func (r *ring) lend() *slot {
	if r.lent == r.count {
		return nil
	}
	r.lent++
	return &r.slots[(r.head+r.lent-1)%len(r.slots)]
}

// giveBack frees all slots that were lent.
func (r *ring) giveBack() {
	r.head = (r.head + r.lent) % len(r.slots)
	r.count -= r.lent
	r.lent = 0
}

// waiting returns the number of slots filled and not lent.
func (r *ring) waiting() int { return r.count - r.lent }
