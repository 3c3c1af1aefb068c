package packet

import (
	"bytes"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/port/vnet"
)

// A ring outlives the process that read it: its socket has it, and the port helper
// has the socket. The place where that process stood it took along. But the kernel
// fills slots in order, and they are given back in order, so those that are filled
// lie together, and the oldest is the first behind those that are not:
//
//	 kernel's      ours, oldest first        kernel's
//	. . . . . . [ x x x x x x x x x x ] . . . . . . . .
//	             find
//
// Several CPUs may be filling slots at a time, and finish in another order, which
// makes holes, a few slots long; so the first behind the longest stretch is taken. A
// ring that is full has none: then the oldest is the one with the earliest time. If
// none is filled the place is not known before the next frame comes, which costs each
// look one of all slots until then.
//
// The dead process may have had a batch in hand: its slots are filled as ever, so
// those frames, at most a batch, are received again. It may have changed them in place,
// and they are judged as what they are now, as any frame of this port. Of its long
// frames it may have taken the bytes out of the socket's queue. So as long as slots may
// be such, a long frame is looked at before it is taken: it must begin as its slot does.

// find finds the oldest filled slot; false: there is none.
func (r *ring) find() bool {
	filled, empty, longest, first := 0, 0, 0, 0
	for i := range 2 * slots { // the second time round begins with what came before
		switch at := i % slots; {
		case !r.filled(at):
			empty++
			continue
		case empty > longest:
			longest, first = empty, at
		}
		if empty = 0; i < slots {
			filled++
		}
	}
	if filled == 0 {
		return false
	}
	if longest == 0 {
		first = r.earliest()
	}
	r.next, r.doubt, r.lost = first, filled, false
	return true
}

// earliest returns the slot that was filled first, of a ring that is full.
func (r *ring) earliest() (first int) {
	for i := range slots {
		a, b := r.header(i), r.header(first)
		if a.Sec < b.Sec || a.Sec == b.Sec && a.Nsec < b.Nsec {
			first = i
		}
	}
	return first
}

// isNext tells whether the socket's queue goes on with the frame that a slot has the
// beginning of. room is where it may be read into.
func (q *queue) isNext(h *unix.Tpacket2Hdr, slot, room []byte) bool {
	from, to := int(h.Mac)-vnet.HeaderLen, int(h.Mac)+int(h.Snaplen)
	if from < addrEnd || to > len(slot) {
		return false
	}
	n, errno := receive(q.fd, room, unix.MSG_PEEK)
	for try := 1; try < tries && (errno == unix.ENETDOWN || errno == unix.EINTR); try++ {
		n, errno = receive(q.fd, room, unix.MSG_PEEK)
	}
	return errno == 0 && bytes.HasPrefix(room[:min(n, len(room))], slot[from:to])
}
