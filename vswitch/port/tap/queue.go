package tap

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/vnet"
)

// queue is one queue of the device: one descriptor, non-blocking, a frame a
// read and a frame a write.
type queue struct {
	fd       int
	port     packet.PortID
	name     string
	limit    int // longest frame or segment sent, Ethernet header included
	uso      bool
	arena    *vnet.Arena
	gone     atomic.Bool
	counters vnet.Counters
}

// FD is readable when frames wait, and when the device has gone.
func (q *queue) FD() int { return q.fd }

// Recv implements port.Queue. It reads until the device is empty, the batch is
// full or the arena is.
func (q *queue) Recv(b *packet.Batch) error {
	q.arena.Reset()
	var t vnet.Tally
	var err error
	for b.Room() > 0 {
		room := q.arena.Room()
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
	q.counters.Received(&t)
	return err
}

// takeIn adds what was read to the batch, or counts why not.
func (q *queue) takeIn(b *packet.Batch, room []byte, n int, t *vnet.Tally) {
	switch {
	case n >= vnet.ReadMax:
		t.Drop(drop.RxOversize)
		return
	case n < vnet.HeaderLen+vnet.EthernetLen:
		t.Drop(drop.RxError)
		return
	}
	frame := room[vnet.HeaderLen:n]
	offload, ok := vnet.Decode(room[:vnet.HeaderLen], frame)
	if !ok {
		t.Drop(drop.BadOffload)
		return
	}
	t.Frames++
	t.Bytes += uint64(len(frame))
	f := b.Next()
	f.Begin(q.arena.Take(len(frame)), packet.Headroom, uint32(packet.Headroom+len(frame)), q.port)
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
	var t vnet.Tally
	for _, f := range frames {
		if r := q.giveOut(f); r != drop.None {
			f.Reason = r
			t.Drop(r)
			continue
		}
		t.Frames++
		t.Bytes += uint64(f.Len())
	}
	q.counters.Sent(&t)
}

// giveOut writes one frame.
func (q *queue) giveOut(f *packet.Frame) drop.Reason {
	if r := vnet.Fits(f, q.limit, q.uso); r != drop.None {
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
	if f.Start >= vnet.HeaderLen {
		b := f.Buf[f.Start-vnet.HeaderLen : f.End]
		vnet.Encode(b, &f.Offload)
		return write(q.fd, b)
	}
	var header [vnet.HeaderLen]byte
	vnet.Encode(header[:], &f.Offload)
	return writev(q.fd, header[:], f.Bytes())
}

// writeFailed says what an error means for the frame, and sees the device go.
func (q *queue) writeFailed(errno unix.Errno) drop.Reason {
	switch errno {
	case unix.EBADFD, unix.ENODEV, unix.EBADF:
		q.gone.Store(true)
	}
	return vnet.Failed(errno)
}
