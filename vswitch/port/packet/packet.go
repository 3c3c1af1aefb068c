package packet

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/netdev"
)

// Port is an open packet port.
type Port struct {
	info    port.Info
	index   int
	queues  []*queue
	watcher *netdev.Watcher
	exposed atomic.Bool  // the guard was broken: the link is down, the port over
	dumped  atomic.Int64 // when the guard's filters were last seen, in ns since began
	mu      sync.RWMutex // guards closed and last: Status and Stats may meet Close
	closed  bool
	lent    bool       // another process looks after guard and link
	last    port.Stats // what was counted when it was closed
}

var _ port.Port = (*Port)(nil)

// Open takes a device: its link goes down and stays so until Up, and the host's
// stack is kept off it. What Open began it undoes on failure, but for the link.
func Open(config Config) (*Port, error) {
	p, err := open(config)
	if err != nil {
		return nil, fmt.Errorf("open packet port %q: %w", config.Name, err)
	}
	return p, nil
}

func open(config Config) (p *Port, err error) {
	c, err := config.complete()
	if err != nil {
		return nil, err
	}
	dev, err := netlink.LinkByName(c.Device)
	if err != nil {
		return nil, fmt.Errorf("device %q: %w; create it before the switch starts", c.Device, err)
	}
	if err := alone(dev); err != nil {
		return nil, err // nothing is touched
	}
	p = &Port{index: dev.Attrs().Index}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	// The guard first: whoever sets the link up meanwhile, nothing passes.
	if err := guard(p.index); err != nil {
		return p, err
	}
	if err := netdev.Quiet(dev); err != nil {
		return p, err
	}
	if err := netlink.LinkSetMTU(dev, c.MTU); err != nil {
		return p, fmt.Errorf("set the MTU of %s to %d: %w", c.Device, c.MTU, err)
	}
	if err := p.openQueues(&c); err != nil {
		return p, err
	}
	p.describe(&c, dev)
	return p, p.watch()
}

// openQueues opens as many sockets as are asked for, or one if the kernel spreads
// flows only where the link is up, as it did before Linux 6.13: the link is down.
func (p *Port) openQueues(c *Config) error {
	fanout := noGroup
	for i := range c.Queues {
		q, err := openQueue(c, p.index, i)
		if err != nil {
			return err
		}
		q.down.Store(true)
		q.trouble.Store(true) // a socket bound to a link that is down says so once
		p.queues = append(p.queues, q)
		if c.Queues == 1 {
			return nil
		}
		if fanout, err = joinFanout(q.fd, fanout); i == 0 && errors.Is(err, unix.EINVAL) {
			return nil
		} else if err != nil {
			return fmt.Errorf("spread flows among the queues: %w", err)
		}
	}
	return nil
}

func (p *Port) describe(c *Config, dev netlink.Link) {
	uso := p.queues[0].uso
	mode := fmt.Sprintf("mmap ring, %d queues, tso4 tso6", len(p.queues))
	if uso {
		mode += " uso"
	}
	if len(p.queues) < c.Queues {
		mode += fmt.Sprintf("; %d were asked for, which takes Linux 6.13", c.Queues)
	}
	p.info = port.Info{
		Name: c.Name, Driver: "packet", Device: c.Device, MTU: c.MTU, Mode: mode,
		Caps: port.Caps{TSO: true, USO: uso, PartialChecksum: true, MaxFrame: c.maxFrame()},
	}
	copy(p.info.MAC[:], dev.Attrs().HardwareAddr)
}

// watch follows the device: a socket is told of a link that goes down, but not
// of one that comes up.
func (p *Port) watch() (err error) {
	p.watcher, err = netdev.Watch(p.index, func(s netdev.State) {
		if p.see(s); !s.Gone && !p.lent {
			p.look() // a bridge may have taken it in
		}
	}, func() {
		if !p.lent {
			p.look()
		}
	})
	return err
}

// look is called when somebody may have changed the guard. A port without one is
// shut at once, and for good: the switch opens it anew.
func (p *Port) look() {
	for range 2 { // an answer may be cut off by a change under way
		if guarded(p.index) {
			p.dumped.Store(time.Since(began).Nanoseconds())
			return
		}
	}
	p.shut()
}

func (p *Port) shut() {
	p.exposed.Store(true)
	for _, q := range p.queues {
		q.gone.Store(true)
		q.trouble.Store(true)
	}
	_ = netdev.Down(p.index) // if it fails, Status tries again
}

// began is where a time of this package counts from.
var began = time.Now()

// dumpEvery is how often Status has the kernel list the filters though no news of
// them came: that is most of its cost, 0.11 of 0.14 ms a port and second, and a
// change of filters is always told. What is not told, programs of tcx, is asked
// for each time.
const dumpEvery = 10 * time.Second

// lookAgain is Status's look: at what no news tells of, given what the kernel just
// said of the device, and at times, or if no news comes, at everything.
func (p *Port) lookAgain(dev netlink.Link) {
	due := time.Since(began)-time.Duration(p.dumped.Load()) >= dumpEvery
	if due || p.exposed.Load() || p.watcher.Deaf() || alone(dev) != nil {
		p.look()
	}
}

func (p *Port) see(s netdev.State) {
	for _, q := range p.queues {
		if s.Gone {
			q.gone.Store(true)
		}
		q.down.Store(!s.Up)
		q.trouble.Store(true)
	}
}

// Info implements port.Port.
func (p *Port) Info() port.Info { return p.info }

// exposed says what is wrong with a port without its guard.
const exposed = "somebody has taken away, or come before, the filters that keep the host's stack off the device: it is shut, and opened again when they can be set; let nothing else manage it"

// Up implements port.Port. It refuses a device whose guard is not there.
func (p *Port) Up() error {
	dev, err := netlink.LinkByIndex(p.index)
	if err != nil {
		return fmt.Errorf("device %q: %w", p.info.Device, err)
	}
	if p.exposed.Load() || !guarded(p.index) {
		return fmt.Errorf("device %q: %s", p.info.Device, exposed)
	}
	if err := netlink.LinkSetUp(dev); err != nil {
		return fmt.Errorf("set %s up: %w", p.info.Device, err)
	}
	return nil
}

// Queues implements port.Port.
func (p *Port) Queues() []port.Queue {
	out := make([]port.Queue, len(p.queues))
	for i, q := range p.queues {
		out[i] = q
	}
	return out
}

// Status implements port.Port. It asks the kernel now, and Send goes by the
// answer: the watch may be a moment behind. The guard's filters it asks for at
// times only (dumpEvery).
func (p *Port) Status() port.Status {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return port.Status{Err: "closed"}
	}
	s := netdev.Look(p.index)
	if s.Err == nil {
		p.see(s)
	}
	switch {
	case s.Gone:
		return port.Status{Gone: true, Err: "the device is gone"}
	case s.Err != nil:
		return port.Status{Err: s.Err.Error()}
	}
	if !p.lent {
		p.lookAgain(s.Link)
	}
	if p.exposed.Load() {
		return port.Status{Gone: true, Err: exposed}
	}
	if !s.Up {
		return port.Status{Err: "the link is down"}
	}
	return port.Status{Up: true}
}

// Chunks implements port.Port: it keeps memory of its own.
func (p *Port) Chunks() int { return 0 }

// Stats implements port.Port. Frames that found the ring full are rx-error.
func (p *Port) Stats() port.Stats {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return p.last
	}
	return p.sum()
}

func (p *Port) sum() (s port.Stats) {
	s.Extra = map[string]uint64{}
	for _, q := range p.queues {
		q.counters.AddTo(&s)
		lost := q.losses()
		s.Drops[drop.RxError] += lost
		s.Extra["rx_ring_full"] += lost
	}
	return s
}

// Close implements port.Port: link down, sockets closed, guard gone.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	var errs []error
	p.watcher.Close()
	down := !p.lent
	if !p.lent {
		if err := netdev.Down(p.index); err != nil {
			errs, down = append(errs, err), false
		}
	}
	p.last = p.sum()
	for _, q := range p.queues {
		errs = append(errs, q.close())
	}
	if down { // never before the link
		errs = append(errs, unguard(p.index))
	}
	return errors.Join(errs...)
}
