package vnet

import (
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// Arena is the memory that one queue's received frames lie in until the next
// Recv. Frames are laid down one behind the other, so sixty-four small ones
// touch 100 KiB and not sixty-four buffers of 64 KiB each; that keeps a batch
// in the second-level cache. The end of the arena also bounds how much one
// Recv takes in, in bytes.
type Arena struct {
	mem  []byte
	own  bool // mem is not on loan
	next int  // where the next frame's headroom begins
}

const (
	// tailroom is left behind a frame, for an answer made in place that is
	// longer than the question.
	tailroom = 64
	// slotMin bounds a slot from below, for the same reason.
	slotMin = packet.Headroom + 576
	// ReadMax is the most that a read takes: a byte more than any frame, so
	// that a longer one shows.
	ReadMax = HeaderLen + packet.MaxFrame + 1
)

// NewArena makes the arena of a queue of a number, in memory on loan, which all
// queues of that number share, or, if loans is nil, in its own.
func NewArena(loans *port.Loans, queue int) (a *Arena, err error) {
	a = &Arena{own: loans == nil}
	if a.own {
		a.mem, err = sys.MapAnonymous(port.LoanSize)
	} else {
		a.mem, err = loans.Piece(queue)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Room returns where to read the next header and frame, or nil if the longest
// might not fit.
func (a *Arena) Room() []byte {
	at := a.next + packet.Headroom - HeaderLen
	if at+ReadMax+tailroom > len(a.mem) {
		return nil
	}
	return a.mem[at : at+ReadMax]
}

// Take keeps the frame of n bytes that was read into room, and returns its
// slot: headroom, frame, tailroom, clipped.
func (a *Arena) Take(n int) []byte {
	size := max(packet.Headroom+n+tailroom, slotMin)
	size = (size + 63) &^ 63 // the next headroom begins a cache line
	end := min(a.next+size, len(a.mem))
	slot := a.mem[a.next:end:end]
	a.next = end
	return slot
}

// Reset frees all slots: the batch is over.
func (a *Arena) Reset() { a.next = 0 }

// Close gives the memory back, if it is the arena's own.
func (a *Arena) Close() error {
	if !a.own {
		return nil
	}
	return sys.Unmap(a.mem)
}
