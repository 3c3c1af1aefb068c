package packet

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"

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
	mu      sync.RWMutex // guards closed and last: Status and Stats may meet Close
	closed  bool
	last    port.Stats // what was counted when it was closed
}

var _ port.Port = (*Port)(nil)

// groups numbers the sets of sockets that share a device's flows. The kernel
// keeps groups by number in a network namespace; a number that another process
// has is refused by it, with the device that it is for.
var groups atomic.Uint32

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
	p = &Port{index: dev.Attrs().Index}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := netdev.Quiet(dev); err != nil {
		return p, err
	}
	if err := guard(p.index); err != nil {
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

func (p *Port) openQueues(c *Config) error {
	group := uint16(0)
	if c.Queues > 1 {
		group = uint16(groups.Add(1)%0xffff) + 1
	}
	for range c.Queues {
		q, err := openQueue(c, p.index, group)
		if err != nil {
			return err
		}
		q.down.Store(true)
		q.trouble.Store(true) // a socket bound to a link that is down says so once
		p.queues = append(p.queues, q)
	}
	return nil
}

func (p *Port) describe(c *Config, dev netlink.Link) {
	uso := p.queues[0].uso
	mode := fmt.Sprintf("mmap ring, %d queues, tso4 tso6", c.Queues)
	if uso {
		mode += " uso"
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
	p.watcher, err = netdev.Watch(p.index, p.see)
	return err
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

// Up implements port.Port. It refuses a device whose guard is not there.
func (p *Port) Up() error {
	dev, err := netlink.LinkByIndex(p.index)
	if err != nil {
		return fmt.Errorf("device %q: %w", p.info.Device, err)
	}
	if !guarded(p.index) {
		return fmt.Errorf("device %q: somebody has taken away the filters that keep the host's stack off it; reload the switch's configuration, and let nothing else manage the device", p.info.Device)
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
// answer: the watch may be a moment behind.
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
	case !s.Up:
		return port.Status{Err: "the link is down"}
	case !guarded(p.index):
		return port.Status{Up: true, Err: "somebody has taken away the filters that keep the host's stack off the device"}
	}
	return port.Status{Up: true}
}

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
	down := true
	if dev, err := netlink.LinkByIndex(p.index); err == nil {
		if err := netlink.LinkSetDown(dev); err != nil {
			errs, down = append(errs, err), false
		}
	}
	p.watcher.Close()
	p.last = p.sum()
	for _, q := range p.queues {
		errs = append(errs, q.close())
	}
	if down { // never before the link
		errs = append(errs, unguard(p.index))
	}
	return errors.Join(errs...)
}
