package xdp

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// where says in which of the kernel's hands a chunk is.
type where uint8

const (
	ours where = iota // a pool, a batch, or another port
	receiving
	sending
)

// queue is one queue of a device with its socket.
type queue struct {
	*socket
	name   string
	id     packet.PortID
	region *port.Region
	limit  int // longest frame sent
	gone   atomic.Bool
	down   atomic.Bool

	mu    sync.Mutex // guards what follows, and the rings' indices
	pool  *port.Pool
	at    []where // by chunk
	long  long
	stats counters
}

// counters are a queue's accounts; read under its lock.
type counters struct {
	rxFrames, rxBytes, txFrames, txBytes uint64
	kicks                                uint64
	drops                                [drop.Count]uint64
}

func newQueue(s *socket, c *Config) *queue {
	q := &queue{
		socket: s, name: c.Name, id: c.Port, region: c.Region, limit: c.MTU + ethernetLen,
		pool: port.NewPool(c.Region), at: make([]where, c.Region.Chunks()),
	}
	if c.jumbo() {
		q.long = newLong(q.limit + 2*vlanLen)
	}
	return q
}

// FD is readable when frames wait.
func (q *queue) FD() int { return q.fd }

// Recv implements port.Queue.
func (q *queue) Recv(b *packet.Batch) error {
	if q.gone.Load() {
		return fmt.Errorf("receive from port %s: %w", q.name, port.ErrGone)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.long.begin()
	n, ready := uint32(0), q.rx.ready()
	for ; n < ready && b.Room() > 0; n++ {
		if d := q.rx.get(n); q.long.on || d.Options&unix.XDP_PKT_CONTD != 0 {
			q.takePiece(d, b)
		} else {
			q.takeIn(d, b)
		}
	}
	if n > 0 {
		q.rx.release(n)
	}
	q.refill()
	return nil
}

// takeIn adds a received frame to the batch.
func (q *queue) takeIn(d unix.XDPDesc, b *packet.Batch) {
	chunk, fine := q.receivedIn(d)
	if !fine {
		return
	}
	start := uint32(d.Addr % port.ChunkSize)
	f := b.Next()
	f.Begin(q.region.Chunk(chunk), start, start+d.Len, q.id)
	f.Chunk = chunk + 1
	q.came(f)
}

// came counts a frame received.
func (q *queue) came(f *packet.Frame) {
	f.MaybePartial = true
	q.stats.rxFrames++
	q.stats.rxBytes += uint64(f.Len())
}

// receivedIn takes a chunk back from the kernel, if the descriptor is one that
// it may give: bytes inside one chunk that it had been given. Of a chunk that
// it had, and says nonsense of, the chunk is ours again all the same.
func (q *queue) receivedIn(d unix.XDPDesc) (chunk uint32, fine bool) {
	at, start := d.Addr/port.ChunkSize, d.Addr%port.ChunkSize
	if at >= uint64(len(q.at)) || q.at[at] != receiving {
		q.stats.drops[drop.RxDescriptor]++
		return 0, false
	}
	q.at[at] = ours
	if start+uint64(d.Len) > port.ChunkSize || start < packet.Headroom {
		q.stats.drops[drop.RxDescriptor]++
		q.pool.Put(uint32(at))
		return 0, false
	}
	return uint32(at), true
}

// refill keeps the fill ring full.
func (q *queue) refill() {
	room := q.fill.space()
	n := uint32(0)
	for ; n < room; n++ {
		chunk, ok := q.pool.Get()
		if !ok {
			q.reap() // nobody may be sending any more, who would
			if chunk, ok = q.pool.Get(); !ok {
				break
			}
		}
		q.at[chunk] = receiving
		q.fill.put(n, uint64(chunk)*port.ChunkSize)
	}
	if n > 0 {
		q.fill.submit(n)
	}
	if q.fill.needsWakeup() {
		q.stats.kicks++
		q.wakeFill(q.fd)
	}
}

// Send implements port.Queue. Frames in the region are handed over; others are
// copied.
func (q *queue) Send(frames []*packet.Frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reap()
	room, n := q.tx.space(), uint32(0)
	for _, f := range frames {
		need := descriptors(f)
		if reason := q.fits(f, n+need <= room); reason != drop.None {
			q.refuse(f, reason)
			continue
		}
		packet.FinishChecksum(f)
		size := f.Len()
		if !q.giveOut(f, n) {
			q.refuse(f, drop.TxFull)
			continue
		}
		n += need
		q.stats.txFrames++
		q.stats.txBytes += uint64(size)
	}
	if n > 0 {
		q.tx.submit(n)
	}
	q.push()
}

func (q *queue) refuse(f *packet.Frame, reason drop.Reason) {
	f.Reason = reason
	q.stats.drops[reason]++
}

func (q *queue) fits(f *packet.Frame, room bool) drop.Reason {
	switch {
	case q.gone.Load() || q.down.Load():
		return drop.PortDown
	case f.Offload.GSO != packet.GSONone || f.Len() > q.limit:
		return drop.TxOversize
	case !room:
		return drop.TxFull
	}
	return drop.None
}

// giveOut writes the descriptors of a frame, the n-th and after. A chunk of
// the frame's own is kept; other memory is copied.
func (q *queue) giveOut(f *packet.Frame, n uint32) bool {
	if f.Chunk == 0 {
		return q.copyOut(f, n)
	}
	chunk := f.Chunk - 1
	f.Chunk = 0
	q.at[chunk] = sending
	q.tx.put(n, unix.XDPDesc{Addr: uint64(chunk)*port.ChunkSize + uint64(f.Start), Len: uint32(f.Len())})
	return true
}

// reap takes back the chunks of frames that have been sent.
func (q *queue) reap() {
	n := q.done.ready()
	for i := range n {
		chunk := q.done.get(i) / port.ChunkSize
		if chunk >= uint64(len(q.at)) || q.at[chunk] != sending {
			q.stats.drops[drop.RxDescriptor]++
			continue
		}
		q.at[chunk] = ours
		q.pool.Put(uint32(chunk))
	}
	if n > 0 {
		q.done.release(n)
	}
}

// kickBatch is how many frames the kernel sends at a call (TX_BATCH_SIZE of
// net/xdp/xsk.c).
const kickBatch = 32

// push has the kernel send what is in the ring, in as many calls as that takes
// and no more.
func (q *queue) push() {
	waiting := q.tx.mask + 1 - q.tx.space()
	for calls := waiting/kickBatch + 1; calls > 0 && q.tx.needsWakeup() && q.tx.space() <= q.tx.mask; calls-- {
		q.stats.kicks++
		switch errno := q.wakeSend(q.fd); errno {
		case 0, unix.EAGAIN, unix.EBUSY, unix.ENOBUFS, unix.EINTR:
		case unix.ENETDOWN:
			q.down.Store(true)
			return
		case unix.ENXIO, unix.ENODEV:
			q.gone.Store(true)
			return
		default:
			return
		}
	}
}

// Counts is where the chunks are that are not in the region or a batch, for
// the proof that none is lost: filled with the kernel to receive into, sending
// on their way out, pooled free here.
type Counts struct{ Receiving, Sending, Pooled int }

func (q *queue) counts() (c Counts) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.at {
		switch w {
		case receiving:
			c.Receiving++
		case sending:
			c.Sending++
		}
	}
	c.Pooled = q.pool.Len()
	return c
}

// shut closes the socket; no kernel touches its chunks any more.
func (q *queue) shut() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fd < 0 {
		return errors.New("closed twice")
	}
	q.gone.Store(true)
	q.socket.close()
	q.reclaim()
	q.fd = -1
	return nil
}

// reclaim gives back every chunk, those that the kernel had among them.
func (q *queue) reclaim() {
	for chunk, w := range q.at {
		if w != ours {
			q.at[chunk] = ours
			q.pool.Put(uint32(chunk))
		}
	}
	q.pool.Drain()
}
