package tap

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// queue is one queue of the device: one descriptor, non-blocking, a frame a
// read and a frame a write.
type queue struct {
	fd       int
	port     packet.PortID
	name     string
	limit    int // longest frame or segment sent, Ethernet header included
	uso      bool
	arena    *arena
	gone     atomic.Bool
	counters counters
}

// FD is readable when frames wait, and when the device has gone.
func (q *queue) FD() int { return q.fd }

// Recv implements port.Queue. It reads until the device is empty, the batch is
// full or the arena is.
func (q *queue) Recv(b *packet.Batch) error {
	q.arena.reset()
	var t tally
	var err error
	for b.Room() > 0 {
		room := q.arena.room()
		if room == nil {
			break
		}
		n, errno := read(q.fd, room)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			err = q.readFailed(errno)
			break
		}
		q.takeIn(b, room, n, &t)
	}
	q.counters.received(&t)
	return err
}

// takeIn adds what was read to the batch, or counts why not.
func (q *queue) takeIn(b *packet.Batch, room []byte, n int, t *tally) {
	switch {
	case n >= readMax:
		t.drop(drop.RxOversize)
		return
	case n < headerLen+ethernetLen:
		t.drop(drop.RxError)
		return
	}
	frame := room[headerLen:n]
	offload, ok := decode(room[:headerLen], frame)
	if !ok {
		t.drop(drop.BadOffload)
		return
	}
	t.frames++
	t.bytes += uint64(len(frame))
	f := b.Next()
	f.Begin(q.arena.take(len(frame)), packet.Headroom, uint32(packet.Headroom+len(frame)), q.port)
	f.Offload = offload
}

// readFailed says what an error means for the queue. That nothing waits is no
// error.
func (q *queue) readFailed(errno unix.Errno) error {
	switch errno {
	case unix.EAGAIN:
		return nil
	case unix.EBADFD, unix.ENODEV, unix.EBADF:
		q.gone.Store(true)
		return fmt.Errorf("receive from port %s: %w", q.name, port.ErrGone)
	}
	return fmt.Errorf("receive from port %s: %w", q.name, errno)
}

// Send implements port.Queue.
func (q *queue) Send(frames []*packet.Frame) {
	var t tally
	for _, f := range frames {
		if r := q.giveOut(f); r != drop.None {
			f.Reason = r
			t.drop(r)
			continue
		}
		t.frames++
		t.bytes += uint64(f.Len())
	}
	q.counters.sent(&t)
}

// giveOut writes one frame.
func (q *queue) giveOut(f *packet.Frame) drop.Reason {
	if r := q.fits(f); r != drop.None {
		return r
	}
	for {
		errno := q.write(f)
		if errno == unix.EINTR {
			continue
		}
		return q.writeFailed(errno)
	}
}

// write puts the header into the headroom, just before the frame, so that one
// write takes both; a frame that has used its headroom up costs a writev.
func (q *queue) write(f *packet.Frame) unix.Errno {
	if f.Start >= headerLen {
		b := f.Buf[f.Start-headerLen : f.End]
		encode(b, &f.Offload)
		return write(q.fd, b)
	}
	var header [headerLen]byte
	encode(header[:], &f.Offload)
	return writev(q.fd, header[:], f.Bytes())
}

// fits says why the device could not take a frame of this length and kind.
func (q *queue) fits(f *packet.Frame) drop.Reason {
	n := f.Len()
	if n < ethernetLen {
		return drop.TxError
	}
	if o := &f.Offload; o.GSO != packet.GSONone {
		if f.Outer != 0 || o.Size == 0 || !q.uso && (o.GSO == packet.GSOUDP4 || o.GSO == packet.GSOUDP6) {
			return drop.TxError // to be cut before, see Caps
		}
		n = min(n, int(o.HeaderLen)+int(o.Size))
	}
	if n > q.limit && n > q.limit+tags(f.Bytes()) {
		return drop.TxOversize
	}
	return drop.None
}

// tags returns the bytes that VLAN tags take, which an MTU does not count.
func tags(b []byte) (n int) {
	for n < 8 && len(b) >= ethernetLen+n {
		tpid := uint16(b[12+n])<<8 | uint16(b[13+n])
		if tpid != packet.EtherTypeVLAN && tpid != packet.EtherTypeQinQ {
			break
		}
		n += 4
	}
	return n
}

// writeFailed says what an error means for the frame. Nothing is tried again:
// the sender's TCP does that, and knows better when.
func (q *queue) writeFailed(errno unix.Errno) drop.Reason {
	switch errno {
	case 0:
		return drop.None
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		return drop.TxFull
	case unix.EIO, unix.ENETDOWN:
		return drop.PortDown
	case unix.EBADFD, unix.ENODEV, unix.EBADF:
		q.gone.Store(true)
		return drop.PortDown
	case unix.EMSGSIZE:
		return drop.TxOversize
	}
	return drop.TxError
}
