package udp

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port/vnet"
)

// Bounds of a train: what the kernel takes in one send (UDP_MAX_SEGMENTS was 64
// before Linux 6.9, and a datagram has 16 bits of length).
const (
	trainPieces = 64
	trainBytes  = 65507 - 1000
)

// outgoing is the way out by all lanes. Frames of a batch are sorted by lane: a
// flow has one, so nothing of a flow overtakes. Of a lane, those that follow one
// another to one peer, equally long, are one train.
type outgoing struct {
	mu    sync.Mutex // guards the rest: workers may share the queue to send
	lanes *[2]*lanes
	limit int // bytes of IP that the underlay takes

	calls   sends
	scratch []byte // what superframes are cut into
	used    int    // of it, by the messages not sent yet
	byLane  [2 * Lanes][]entry
	busy    []int // lanes that have some

	errors  pathErrors
	waiting atomic.Int32 // of these

	trains atomic.Uint64 // datagrams that are several
	called atomic.Uint64 // system calls
}

// entry is a frame on its way out, and whom it is for.
type entry struct {
	f *packet.Frame
	t target
}

// scratchSize holds the pieces of the longest superframe, and as much again.
const scratchSize = 1 << 18

// Send implements port.Queue.
func (q *queue) Send(frames []*packet.Frame) {
	o := &q.out
	var t vnet.Tally
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range frames {
		o.sort(f, &t)
	}
	for _, i := range o.busy {
		o.sendLane(i, &t)
	}
	o.busy = o.busy[:0]
	q.counters.Sent(&t)
}

// sort puts a frame to its lane, or says why it cannot go.
func (o *outgoing) sort(f *packet.Frame, t *vnet.Tally) {
	to, ok := readOuter(f.Bytes())
	reason := drop.None
	switch {
	case !ok:
		reason = drop.TxError // no tunnel: nothing else goes out here
	case o.lanes[to.family] == nil:
		reason = drop.NoUplink
	case f.Offload.GSO == packet.GSONone && f.Len()-etherLen > o.limit:
		reason = drop.TxOversize
	}
	if reason != drop.None {
		f.Reason = reason
		t.Drop(reason)
		return
	}
	i := to.family*Lanes + int(to.lane)
	if len(o.byLane[i]) == 0 {
		o.busy = append(o.busy, i)
	}
	o.byLane[i] = append(o.byLane[i], entry{f, to})
}

// sendLane gives out what was sorted to a lane.
func (o *outgoing) sendLane(i int, t *vnet.Tally) {
	list := o.byLane[i]
	fd := o.lanes[i/Lanes].fds[i%Lanes]
	for len(list) > 0 {
		var taken int
		if list[0].f.Offload.GSO != packet.GSONone {
			taken = 1
			o.putSuperframe(fd, &list[0], t)
		} else {
			taken = o.putTrain(list)
		}
		list = list[taken:]
		if o.calls.full() || o.used > scratchSize/2 {
			o.flush(fd, t)
		}
	}
	o.flush(fd, t)
	clear(o.byLane[i]) // the frames are not ours any more
	o.byLane[i] = o.byLane[i][:0]
}

// putTrain makes one message of the frames that begin a list and can be pieces of
// one train: to one peer, marked alike, each as long as the first, the last
// perhaps shorter. It returns how many.
func (o *outgoing) putTrain(list []entry) (n int) {
	first := &list[0]
	head := outerLen(first.t.family)
	size := first.f.Len() - head
	o.calls.begin(&first.t)
	for total := 0; n < len(list) && n < trainPieces; n++ {
		e := &list[n]
		length := e.f.Len() - head
		if e.f.Offload.GSO != packet.GSONone || e.t != first.t || length > size || total+length > trainBytes {
			break
		}
		o.calls.add(e.f.Bytes()[head:])
		total += length
		if length < size {
			n++
			break
		}
	}
	o.calls.end(list[:n], size)
	if n > 1 {
		o.trains.Add(1)
	}
	return n
}

// putSuperframe cuts a superframe into the pieces of trains, without their outer
// headers, which the kernel makes.
func (o *outgoing) putSuperframe(fd int, e *entry, t *vnet.Tally) {
	f := e.f
	var cut checksum.Segmenter
	if !o.begin(&cut, f, outerLen(e.t.family)) {
		f.Reason = drop.BadOffload
		t.Drop(drop.BadOffload)
		return
	}
	size := cut.NextLen()
	if size+outerLen(e.t.family)-etherLen > o.limit {
		f.Reason = drop.TxOversize
		t.Drop(drop.TxOversize)
		return
	}
	for cut.NextLen() > 0 {
		if o.used+trainBytes > len(o.scratch) || o.calls.full() {
			o.flush(fd, t) // this superframe's own first train, or others' before it
		}
		if f.Reason != drop.None {
			return // its beginning could not be sent
		}
		from := o.used
		for n := 0; n < trainPieces && cut.NextLen() > 0 && o.used-from+size <= trainBytes; n++ {
			o.used += cut.Next(o.scratch[o.used:])
		}
		o.calls.begin(&e.t)
		o.calls.add(o.scratch[from:o.used])
		o.calls.endPart(e, size, cut.NextLen() == 0)
		o.trains.Add(1)
	}
}

// begin prepares to cut what is behind the outer UDP header. To the segmenter the
// VXLAN header is a longer link header, which it repeats.
func (o *outgoing) begin(cut *checksum.Segmenter, f *packet.Frame, head int) bool {
	h, off := &f.Headers, int(f.Outer)-head
	if off != vxlanLen || f.Offload.Checksum != packet.ChecksumPartial {
		return false
	}
	tcp := f.Offload.GSO == packet.GSOTCP4 || f.Offload.GSO == packet.GSOTCP6
	return cut.Init(checksum.Superframe{
		Frame: f.Bytes()[head:], L3: off + int(h.L3), L4: off + int(h.L4),
		Payload: off + int(h.Payload), End: off + int(h.PacketEnd),
		Size: int(f.Offload.Size), V6: h.V6, TCP: tcp,
	})
}

// flush gives the messages made so far to the kernel, and books each frame: sent
// with its last message, or dropped with the first that could not be sent.
func (o *outgoing) flush(fd int, t *vnet.Tally) {
	for from := 0; from < o.calls.count; {
		sent, errno := o.calls.send(fd, from)
		o.called.Add(1)
		for i := range max(sent, 0) {
			o.calls.book(from+i, drop.None, t)
		}
		from += max(sent, 0)
		switch {
		case errno == 0 || errno == unix.EINTR:
		case errno == unix.EAGAIN: // the socket's buffer is full: for the others, too
			for ; from < o.calls.count; from++ {
				o.calls.book(from, drop.TxFull, t)
			}
		default:
			if errno == unix.EMSGSIZE || errno == unix.EINVAL {
				o.tooLong(o.calls.first(from))
			}
			o.calls.book(from, failed(errno), t)
			from++
		}
	}
	o.calls.forget()
	o.used = 0
}

// failed says what an error of a send means for its frames.
func failed(errno unix.Errno) drop.Reason {
	switch errno {
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EADDRNOTAVAIL:
		return drop.NoUplink // the host has no route, or the VTEP's address no more
	case unix.EMSGSIZE, unix.EINVAL:
		return drop.TxOversize // than the route takes, or than a path on it that the kernel has learned
	}
	return vnet.Failed(errno)
}

func (o *outgoing) init() (err error) {
	o.scratch, err = sys.MapAnonymous(scratchSize)
	return err
}

func (o *outgoing) close() error {
	if o.scratch == nil {
		return nil
	}
	return sys.Unmap(o.scratch)
}
