package mem

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// Config describes an in-memory port. Zero fields take the value in brackets.
type Config struct {
	Name   string
	Port   packet.PortID
	MAC    packet.MAC
	MTU    int        // bytes of IP [1500]
	Queues int        // [1]
	Depth  int        // frames a ring holds, each direction, each queue [1024]
	Caps   *port.Caps // [everything]; MaxFrame 0 follows the MTU
}

// Errors of Inject.
var (
	ErrFull = errors.New("receive ring is full")
	ErrDown = errors.New("link is down")
)

// Port is an in-memory port.
type Port struct {
	info   port.Info
	queues []port.Queue
	own    []*queue
	up     atomic.Bool // Up was called
	cut    atomic.Bool // SetLink(false) was called
	gone   atomic.Bool
	closed atomic.Bool
}

var _ port.Port = (*Port)(nil)

// New makes a port, link down.
func New(c Config) (*Port, error) {
	setDefault(&c.MTU, 1500)
	setDefault(&c.Queues, 1)
	setDefault(&c.Depth, 1024)
	caps := port.Caps{TSO: true, USO: true, TunnelGSO: true, PartialChecksum: true}
	if c.Caps != nil {
		caps = *c.Caps
	}
	setDefault(&caps.MaxFrame, c.MTU+ethernetLen)
	p := &Port{info: port.Info{
		Name: c.Name, Driver: "mem", MAC: c.MAC, MTU: c.MTU, Caps: caps,
		Mode: fmt.Sprintf("%d queues of %d frames", c.Queues, c.Depth),
	}}
	for range c.Queues {
		event, err := sys.NewEvent()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open memory port %q: %w", c.Name, err), p.Close())
		}
		q := &queue{owner: p, id: c.Port, event: event, rx: newRing(c.Depth), tx: newRing(c.Depth)}
		p.own = append(p.own, q)
		p.queues = append(p.queues, q)
	}
	return p, nil
}

const ethernetLen = 14

func setDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

// Info implements port.Port.
func (p *Port) Info() port.Info { return p.info }

// Queues implements port.Port.
func (p *Port) Queues() []port.Queue { return p.queues }

// Up implements port.Port.
func (p *Port) Up() error {
	if p.closed.Load() {
		return fmt.Errorf("set memory port %q up: it is closed", p.info.Name)
	}
	p.up.Store(true)
	return nil
}

// linked tells whether frames cross.
func (p *Port) linked() bool {
	return p.up.Load() && !p.cut.Load() && !p.gone.Load() && !p.closed.Load()
}

// Status implements port.Port.
func (p *Port) Status() port.Status {
	switch {
	case p.closed.Load():
		return port.Status{Err: "closed"}
	case p.gone.Load():
		return port.Status{Gone: true, Err: port.ErrGone.Error()}
	case !p.linked():
		return port.Status{Err: ErrDown.Error()}
	}
	return port.Status{Up: true}
}

// Chunks implements port.Port: it keeps memory of its own.
func (p *Port) Chunks() int { return 0 }

// Stats implements port.Port.
func (p *Port) Stats() port.Stats {
	var s port.Stats
	for _, q := range p.own {
		q.addTo(&s)
	}
	return s
}

// Close implements port.Port. A second Close does nothing.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, q := range p.own {
		errs = append(errs, q.event.Close())
	}
	return errors.Join(errs...)
}

// SetLink plugs or unplugs the port, as a cable would.
func (p *Port) SetLink(up bool) { p.cut.Store(!up) }

// Destroy removes the device: every queue says port.ErrGone from now on.
func (p *Port) Destroy() {
	p.gone.Store(true)
	for _, q := range p.own {
		q.event.Set()
	}
}

// Inject puts a copy of a frame into a queue's receive ring.
func (p *Port) Inject(queue int, frame []byte, o packet.Offload) error {
	if !p.linked() {
		return fmt.Errorf("inject into port %q: %w", p.info.Name, ErrDown)
	}
	if !p.own[queue].inject(frame, o) {
		return fmt.Errorf("inject into port %q: %w", p.info.Name, ErrFull)
	}
	return nil
}

// Sent is a copy of a frame that the switch sent.
type Sent struct {
	Bytes   []byte
	Offload packet.Offload
}

// Take takes the oldest frame out of a queue's transmit ring; ok is false when
// it is empty.
func (p *Port) Take(queue int) (s Sent, ok bool) { return p.own[queue].take() }

// Discard empties a queue's transmit ring without copying and returns how many
// frames it held: what a benchmark does.
func (p *Port) Discard(queue int) int { return p.own[queue].discard() }

// queue is one queue of the port.
type queue struct {
	owner *Port
	id    packet.PortID
	event *sys.Event // set while the receive ring has frames

	mu     sync.Mutex // guards the rest
	rx, tx ring
	stats  port.Stats
}

// FD implements port.Queue.
func (q *queue) FD() int { return q.event.FD() }

func (q *queue) inject(frame []byte, o packet.Offload) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.rx.push()
	if s == nil {
		return false
	}
	s.set(frame, o)
	if q.rx.waiting() == 1 {
		q.event.Set()
	}
	return true
}

// Recv implements port.Queue.
func (q *queue) Recv(b *packet.Batch) error {
	if q.owner.gone.Load() {
		return fmt.Errorf("receive from port %s: %w", q.owner.info.Name, port.ErrGone)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rx.giveBack()
	before := q.rx.waiting()
	for b.Room() > 0 {
		s := q.rx.lend()
		if s == nil {
			break
		}
		f := b.Next()
		f.Begin(s.buf, uint32(s.start), uint32(s.end), q.id)
		f.Offload = s.offload
		q.stats.RxFrames++
		q.stats.RxBytes += uint64(s.end - s.start)
	}
	if before > 0 && q.rx.waiting() == 0 {
		q.event.Clear()
	}
	return nil
}

// Send implements port.Queue.
func (q *queue) Send(frames []*packet.Frame) {
	up := q.owner.linked()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range frames {
		if r := q.giveOut(f, up); r != drop.None {
			f.Reason = r
			q.stats.Drops[r]++
		}
	}
}

func (q *queue) giveOut(f *packet.Frame, up bool) drop.Reason {
	if !up {
		return drop.PortDown
	}
	if r := fits(f, &q.owner.info.Caps); r != drop.None {
		return r
	}
	s := q.tx.push()
	if s == nil {
		return drop.TxFull
	}
	s.set(f.Bytes(), f.Offload)
	q.stats.TxFrames++
	q.stats.TxBytes += uint64(f.Len())
	return drop.None
}

// fits holds a frame against what the port says that it takes.
func fits(f *packet.Frame, c *port.Caps) drop.Reason {
	o, n := &f.Offload, f.Len()
	switch o.GSO {
	case packet.GSONone:
	case packet.GSOTCP4, packet.GSOTCP6:
		if !c.TSO {
			return drop.TxError
		}
	default:
		if !c.USO {
			return drop.TxError
		}
	}
	if o.GSO != packet.GSONone {
		if f.Outer != 0 && !c.TunnelGSO {
			return drop.TxError
		}
		n = min(n, int(o.HeaderLen)+int(o.Size))
	}
	if o.Checksum == packet.ChecksumPartial && !c.PartialChecksum {
		return drop.TxError
	}
	if n > c.MaxFrame {
		return drop.TxOversize
	}
	return drop.None
}

func (q *queue) take() (s Sent, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	slot := q.tx.lend()
	if slot == nil {
		return s, false
	}
	s = Sent{Bytes: append([]byte(nil), slot.buf[slot.start:slot.end]...), Offload: slot.offload}
	q.tx.giveBack()
	return s, true
}

func (q *queue) discard() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.tx.lend() != nil {
		n++
	}
	q.tx.giveBack()
	return n
}

func (q *queue) addTo(s *port.Stats) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.RxFrames += q.stats.RxFrames
	s.RxBytes += q.stats.RxBytes
	s.TxFrames += q.stats.TxFrames
	s.TxBytes += q.stats.TxBytes
	for r := range s.Drops {
		s.Drops[r] += q.stats.Drops[r]
	}
}
