package xdp

import (
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// A frame that is longer than a chunk comes in pieces, a descriptor each, all
// but the last marked as continued. The switch's frames are one piece of memory
// (packet.Frame), so the pieces are copied into one, which is the queue's own
// until the next Recv; on the way out a long frame is copied into chunks. The
// copies are what jumbo frames cost here; ordinary ones pay a look at a flag.

// long is where one queue's long frames are put together. Without slots, on a
// socket that takes no frame in pieces, every piece is a mistake.
type long struct {
	slots [][]byte // each for the longest frame
	used  int      // slots lent out with this batch
	n     int      // bytes of the frame that is coming, in slot used
	on    bool     // a frame is coming
	bad   bool     // it is not to be had: its last pieces are let go
}

// tailroom is left behind a frame, for an answer made in place.
const tailroom = 64

// newLong makes room for a batch of frames of n bytes, and one that is coming.
func newLong(n int) (l long) {
	size := packet.Headroom + n + tailroom
	mem := make([]byte, (packet.BatchSize+1)*size)
	for ; len(mem) > 0; mem = mem[size:] {
		l.slots = append(l.slots, mem[:size:size])
	}
	return l
}

// begin takes back the slots of the last batch, but for the frame that is
// coming.
func (l *long) begin() {
	if l.used == 0 {
		return
	}
	l.slots[0], l.slots[l.used] = l.slots[l.used], l.slots[0]
	l.used = 0
}

// add takes in one piece; what it says is a reason to count, or None.
func (l *long) add(piece []byte) drop.Reason {
	l.on = true
	switch {
	case l.bad:
		return drop.None // counted already
	case len(l.slots) == 0 || packet.Headroom+l.n+len(piece) > len(l.slots[l.used])-tailroom:
		l.bad = true
		return drop.RxOversize
	}
	copy(l.slots[l.used][packet.Headroom+l.n:], piece)
	l.n += len(piece)
	return drop.None
}

// end makes the pieces a frame, if all of them were good.
func (l *long) end(b *packet.Batch, id packet.PortID) *packet.Frame {
	n, bad := l.n, l.bad
	l.n, l.on, l.bad = 0, false, false
	if bad {
		return nil
	}
	f := b.Next()
	f.Begin(l.slots[l.used], packet.Headroom, uint32(packet.Headroom+n), id)
	l.used++
	return f
}

// takePiece takes in a descriptor of a frame of several.
func (q *queue) takePiece(d unix.XDPDesc, b *packet.Batch) {
	chunk, fine := q.receivedIn(d)
	if fine {
		start := d.Addr % port.ChunkSize
		if reason := q.long.add(q.region.Chunk(chunk)[start : start+uint64(d.Len)]); reason != drop.None {
			q.stats.drops[reason]++
		}
		q.pool.Put(chunk)
	} else {
		q.long.on, q.long.bad = true, true
	}
	if d.Options&unix.XDP_PKT_CONTD != 0 {
		return
	}
	if f := q.long.end(b, q.id); f != nil {
		q.came(f)
	}
}

// descriptors is how many a frame needs on its way out.
func descriptors(f *packet.Frame) uint32 {
	if f.Chunk != 0 {
		return 1
	}
	return uint32(f.Len()+copyMax-1) / copyMax
}

// copyMax is how much of a frame is copied into one chunk.
const copyMax = port.ChunkSize - packet.Headroom

// copyOut copies a frame of other memory into chunks, and writes their
// descriptors as the n-th and after.
func (q *queue) copyOut(f *packet.Frame, n uint32) bool {
	var chunks [maxPieces]uint32
	pieces := chunks[:descriptors(f)]
	for i := range pieces {
		chunk, found := q.pool.Get()
		if !found {
			for _, c := range pieces[:i] {
				q.pool.Put(c)
			}
			return false
		}
		pieces[i] = chunk
	}
	rest := f.Bytes()
	for i, chunk := range pieces {
		d := unix.XDPDesc{Addr: uint64(chunk)*port.ChunkSize + packet.Headroom, Len: uint32(min(len(rest), copyMax))}
		if i < len(pieces)-1 {
			d.Options = unix.XDP_PKT_CONTD
		}
		copy(q.region.Chunk(chunk)[packet.Headroom:], rest[:d.Len])
		rest = rest[d.Len:]
		q.at[chunk] = sending
		q.tx.put(n+uint32(i), d)
	}
	return true
}

// maxPieces is as many as a frame of the largest MTU needs.
const maxPieces = (maxMTU+ethernetLen+2*vlanLen)/copyMax + 1
