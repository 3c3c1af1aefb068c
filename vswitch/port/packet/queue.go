package packet

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/vnet"
)

// queue is one socket: a ring in, a call a batch out.
type queue struct {
	fd    int
	port  packet.PortID
	name  string
	limit int // longest frame or segment sent, Ethernet header included
	uso   bool

	ring *ring       // frames that fit a slot
	long *vnet.Arena // and those that do not

	gone    atomic.Bool // the device is no more
	down    atomic.Bool // its link is
	trouble atomic.Bool // the socket has, or will have, an error to be fetched

	mu    sync.Mutex // guards calls: workers may share the queue to send
	calls calls

	counters vnet.Counters
	lost     atomic.Uint64 // frames that found the ring full
}

// FD is readable when frames wait, and when the link or the device has gone.
func (q *queue) FD() int { return q.fd }

// Recv implements port.Queue.
func (q *queue) Recv(b *packet.Batch) error {
	q.ring.giveBack()
	q.long.Reset()
	var t vnet.Tally
	for b.Room() > 0 {
		h, slot, filled := q.ring.peek()
		if !filled || !q.takeIn(b, h, slot, &t) {
			break
		}
		q.ring.take()
	}
	q.counters.Received(&t)
	if t.Frames == 0 && q.trouble.Load() {
		return q.fetchError()
	}
	return nil
}

// takeIn adds what a slot has to the batch, or counts why not. It returns false
// if the frame must wait for the next batch.
func (q *queue) takeIn(b *packet.Batch, h *unix.Tpacket2Hdr, slot []byte, t *vnet.Tally) bool {
	mac, n := int(h.Mac), int(h.Snaplen)
	switch {
	case h.Status&unix.TP_STATUS_COPY != 0:
		return q.takeLong(b, h, slot, t)
	case mac < addrEnd+packet.Headroom+tagLen || n < vnet.EthernetLen || mac+n > len(slot) || h.Len != h.Snaplen:
		t.Drop(drop.RxError) // cut short: the socket's queue had no room for the whole
		return true
	}
	frame := slot[mac : mac+n]
	offload, ok := vnet.Decode(slot[mac-vnet.HeaderLen:mac], frame)
	if !ok {
		t.Drop(drop.BadOffload)
		return true
	}
	start := packet.Headroom
	buf := slot[mac-packet.Headroom:]
	if tag := tagOf(h); tag != (tagBytes{}) {
		buf = slot[mac-packet.Headroom-tagLen:]
		copy(buf[start:], frame[:2*macLen])
		copy(buf[start+2*macLen:], tag[:])
		n += tagLen
		shift(&offload)
	}
	q.add(b, buf, n, offload, t)
	return true
}

// takeLong adds a frame that is longer than a slot, from the socket's queue: the
// kernel puts it there in the order of the slots.
func (q *queue) takeLong(b *packet.Batch, h *unix.Tpacket2Hdr, slot []byte, t *vnet.Tally) bool {
	room := q.long.Room()
	if room == nil {
		return false
	}
	if q.ring.doubt > 0 && !q.isNext(h, slot, room) {
		t.Drop(drop.RxError) // the process before has read it
		return true
	}
	n, errno := receive(q.fd, room, 0)
	for try := 1; try < tries && (errno == unix.ENETDOWN || errno == unix.EINTR); try++ { // said before what waits
		n, errno = receive(q.fd, room, 0)
	}
	switch {
	case errno != 0 || n-vnet.HeaderLen != int(h.Len) && n < vnet.ReadMax-tagLen: // another's
		t.Drop(drop.RxError)
		return true
	case n < vnet.HeaderLen+vnet.EthernetLen:
		t.Drop(drop.RxError)
		return true
	case n >= vnet.ReadMax-tagLen:
		t.Drop(drop.RxOversize)
		return true
	}
	offload, ok := vnet.Decode(room[:vnet.HeaderLen], room[vnet.HeaderLen:n])
	if !ok {
		t.Drop(drop.BadOffload)
		return true
	}
	n -= vnet.HeaderLen
	if tag := tagOf(h); tag != (tagBytes{}) {
		frame := room[vnet.HeaderLen:]
		copy(frame[2*macLen+tagLen:n+tagLen], frame[2*macLen:n])
		copy(frame[2*macLen:], tag[:])
		n += tagLen
		shift(&offload)
	}
	q.add(b, q.long.Take(n), n, offload, t)
	return true
}

func (q *queue) add(b *packet.Batch, buf []byte, n int, o packet.Offload, t *vnet.Tally) {
	t.Frames++
	t.Bytes += uint64(n)
	f := b.Next()
	f.Begin(buf, packet.Headroom, uint32(packet.Headroom+n), q.port)
	f.Offload = o
}

const (
	macLen = 6
	tagLen = 4
	// tries bounds how often a read is begun again that a signal, or a link that
	// went down, has ended. A frame left in the queue would be taken for the next.
	tries = 16
)

type tagBytes [tagLen]byte

// tagOf is the tag that the kernel took off a frame; the zero value is none.
func tagOf(h *unix.Tpacket2Hdr) (tag tagBytes) {
	if h.Status&unix.TP_STATUS_VLAN_VALID == 0 {
		return tag
	}
	tpid := uint16(packet.EtherTypeVLAN)
	if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = h.Vlan_tpid
	}
	binary.BigEndian.PutUint16(tag[0:], tpid)
	binary.BigEndian.PutUint16(tag[2:], h.Vlan_tci)
	return tag
}

// shift moves what an offload points at behind a tag that has come back.
func shift(o *packet.Offload) {
	if o.Checksum == packet.ChecksumPartial {
		o.CsumStart += tagLen
	}
	if o.GSO != packet.GSONone {
		o.HeaderLen += tagLen
	}
}

// fetchError takes the socket's error, which would keep the descriptor readable
// for ever: the link went down, or the device did.
func (q *queue) fetchError() error {
	if !q.down.Load() {
		q.trouble.Store(false) // the link is up again: its error was before that
	}
	_, _ = unix.GetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if q.gone.Load() {
		return fmt.Errorf("receive from port %s: %w", q.name, port.ErrGone)
	}
	return nil
}

// Send implements port.Queue.
func (q *queue) Send(frames []*packet.Frame) {
	var t vnet.Tally
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(frames) > 0 {
		n := min(len(frames), packet.BatchSize)
		q.sendBatch(frames[:n], &t)
		frames = frames[n:]
	}
	q.counters.Sent(&t)
}

// sendBatch gives out at most packet.BatchSize frames.
func (q *queue) sendBatch(frames []*packet.Frame, t *vnet.Tally) {
	var fit [packet.BatchSize]*packet.Frame
	n := 0
	for _, f := range frames {
		if r := q.refuses(f); r != drop.None {
			f.Reason = r
			t.Drop(r)
			continue
		}
		q.calls.put(n, f)
		fit[n] = f
		n++
	}
	again := true // a link that was down is said once, by the first call after it is up
	for from := 0; from < n; {
		sent, errno := q.calls.send(q.fd, from, n)
		if errno == unix.EINTR || errno == unix.ENETDOWN && again {
			again = again && errno == unix.EINTR
			continue
		}
		for _, f := range fit[from : from+max(sent, 0)] {
			t.Frames++
			t.Bytes += uint64(f.Len())
		}
		from += max(sent, 0)
		if errno != 0 { // of the first that was not sent; the next ones may still be
			fit[from].Reason = vnet.Failed(errno)
			t.Drop(fit[from].Reason)
			from++
			if errno == unix.EAGAIN { // the socket's buffer is full: for the others, too
				for ; from < n; from++ {
					fit[from].Reason = drop.TxFull
					t.Drop(drop.TxFull)
				}
			}
		}
	}
	q.calls.forget(n)
}

// refuses says why a frame cannot go out.
func (q *queue) refuses(f *packet.Frame) drop.Reason {
	if q.gone.Load() || q.down.Load() {
		return drop.PortDown
	}
	return vnet.Fits(f, q.limit, q.uso)
}
