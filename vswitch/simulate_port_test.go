package vswitch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/mem"
)

// simPoller is a sleep that takes no time: it ends when it is woken, or at its time on
// the clock of the simulation, and then every queue is said to have frames.
type simPoller struct {
	wake chan struct{}
	tags []int32
	fds  []int
}

func newSimPoller() (poller, error) {
	return &simPoller{wake: make(chan struct{}, 1)}, nil
}

func (p *simPoller) Add(fd int, tag int32) error {
	p.fds, p.tags = append(p.fds, fd), append(p.tags, tag)
	return nil
}

func (p *simPoller) Remove(fd int) {
	if i := slices.Index(p.fds, fd); i >= 0 {
		p.fds, p.tags = slices.Delete(p.fds, i, i+1), slices.Delete(p.tags, i, i+1)
	}
}

func (p *simPoller) Close() {}

func (p *simPoller) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *simPoller) Wait(timeout time.Duration, ready func(int32)) error {
	if timeout > 0 {
		late := time.NewTimer(timeout)
		defer late.Stop()
		select {
		case <-p.wake:
		case <-late.C:
		}
	} else {
		select {
		case <-p.wake:
		default:
		}
	}
	for _, tag := range p.tags {
		ready(tag)
	}
	return nil
}

// simPort is a memory port to which everything happens that happens to ports. One with
// rings receives into chunks of the frame region, and keeps those that it sends for a
// while, as AF_XDP does.
type simPort struct {
	*mem.Port
	s      *sim
	name   string
	queues []port.Queue
	rings  []*simRing
	deaf   atomic.Bool // cannot be received from, for a while
	notUp  *atomic.Bool
	closed atomic.Bool
}

func (p *simPort) Queues() []port.Queue { return p.queues }

func (p *simPort) Up() error {
	if p.notUp.Load() {
		return errors.New("the link does not come up")
	}
	return p.Port.Up()
}

func (p *simPort) Chunks() (n int) {
	for _, r := range p.rings {
		n += r.holds()
	}
	return n
}

func (p *simPort) Close() error {
	if p.closed.Swap(true) {
		p.s.wrong("port %s is closed twice", p.name)
	}
	for _, r := range p.rings {
		r.shut()
	}
	return p.Port.Close()
}

// well tells whether frames cross.
func (p *simPort) well() bool {
	return p != nil && !p.closed.Load() && !p.deaf.Load() && p.Status().Up
}

// simQueue is a queue that its users must treat well.
type simQueue struct {
	port.Queue
	p    *simPort
	ring *simRing // nil: it has memory of its own
}

var errDeaf = errors.New("input/output error")

func (q simQueue) Recv(b *packet.Batch) error {
	if q.p.closed.Load() {
		q.p.s.wrong("Recv on port %s, which is closed", q.p.name)
	}
	if q.p.deaf.Load() {
		return errDeaf
	}
	from := b.Len()
	err := q.Queue.Recv(b)
	if q.ring != nil {
		q.ring.receive(b, from)
	}
	return err
}

func (q simQueue) Send(frames []*packet.Frame) {
	if q.p.closed.Load() {
		q.p.s.wrong("Send on port %s, which is closed", q.p.name)
	}
	q.Queue.Send(frames)
	if q.ring != nil {
		q.ring.sent(frames)
	}
}

// simRing holds chunks.
type simRing struct {
	region *port.Region

	mu      sync.Mutex // guards what follows: two workers may send
	pool    *port.Pool
	sending []uint32
}

func newSimRing(r *port.Region) *simRing { return &simRing{region: r, pool: port.NewPool(r)} }

func (r *simRing) holds() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pool.Len() + len(r.sending)
}

// receive moves what has come into chunks; where none is left it stays where it is. Half
// of what was being sent has been.
func (r *simRing) receive(b *packet.Batch, from int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.sending) > 0 && len(r.sending)%2 == 0 || len(r.sending) > 8 {
		r.pool.Put(r.sending[0])
		r.sending = r.sending[1:]
	}
	for i := from; i < b.Len(); i++ {
		f := b.Frame(i)
		chunk, ok := r.pool.Get()
		if !ok {
			return
		}
		bytes, offload, ingress := f.Bytes(), f.Offload, f.Ingress
		memory := r.region.Chunk(chunk)
		n := copy(memory[packet.Headroom:], bytes)
		f.Begin(memory, packet.Headroom, uint32(packet.Headroom+n), ingress)
		f.Chunk, f.Offload = chunk+1, offload
	}
}

// sent keeps the chunks of what went out.
func (r *simRing) sent(frames []*packet.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range frames {
		if f.Reason == drop.None && f.Chunk != 0 {
			r.sending = append(r.sending, f.Chunk-1)
			f.Chunk = 0
		}
	}
}

func (r *simRing) shut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.sending {
		r.pool.Put(c)
	}
	r.sending = nil
	r.pool.Drain()
}

// name is that of the n-th port of the simulation.
func simPortName(n int) string { return fmt.Sprintf("p%d", n) }
