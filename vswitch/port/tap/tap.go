package tap

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/vnet"
)

// Port is an open TAP port.
type Port struct {
	config Config
	info   port.Info
	device *device
	queues []port.Queue
	own    []*queue // the same, unwrapped

	mu     sync.RWMutex // guards closed: Status may meet Close
	closed bool
}

var _ port.Port = (*Port)(nil)

// Open makes the device and puts it into its namespace, link down. On an error
// nothing is left behind.
func Open(config Config) (*Port, error) {
	p, err := open(config)
	if err != nil {
		return nil, fmt.Errorf("open TAP port %q: %w", config.Name, err)
	}
	return p, nil
}

func open(config Config) (*Port, error) {
	c, err := config.complete()
	if err != nil {
		return nil, err
	}
	d, err := newDevice(c.Queues)
	if err != nil {
		return nil, err
	}
	p := &Port{config: c, device: d}
	mac, err := d.place(&c)
	if err == nil {
		err = p.makeQueues()
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.info = port.Info{
		Name: c.Name, Driver: "tap", Device: c.Device, Netns: c.Netns, MAC: mac, MTU: c.MTU,
		Mode: fmt.Sprintf("%d queues, %v", c.Queues, d.offload),
		Caps: port.Caps{
			TSO: d.offload.tso, USO: d.offload.uso,
			PartialChecksum: true,
			MaxFrame:        c.MTU + vnet.EthernetLen,
		},
	}
	return p, nil
}

func (p *Port) makeQueues() error {
	for i, fd := range p.device.fds {
		a, err := vnet.NewArena(p.config.Loans, i)
		if err != nil {
			return err
		}
		q := &queue{fd: fd, port: p.config.Port, name: p.config.Name, limit: p.config.MTU + vnet.EthernetLen,
			uso: p.device.offload.uso, arena: a}
		p.own = append(p.own, q)
		p.queues = append(p.queues, q)
	}
	return nil
}

// Info implements port.Port.
func (p *Port) Info() port.Info { return p.info }

// Queues implements port.Port.
func (p *Port) Queues() []port.Queue { return p.queues }

// Up implements port.Port. It needs the right to enter the namespace. If a
// route cannot be set the link goes down again.
func (p *Port) Up() error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fmt.Errorf("set TAP port %q up: it is closed", p.config.Name)
	}
	if err := p.device.up(&p.config); err != nil {
		return fmt.Errorf("set TAP port %q up: %w", p.config.Name, err)
	}
	return nil
}

// Status implements port.Port. A descriptor of a device that is up can always
// be written to, so asking costs one poll and needs no right: the namespace
// need not be entered.
func (p *Port) Status() port.Status {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return port.Status{Err: "closed"}
	}
	ask := []unix.PollFd{{Fd: int32(p.device.fds[0]), Events: unix.POLLOUT}}
	if _, err := unix.Poll(ask, 0); err != nil && !errors.Is(err, unix.EINTR) {
		return port.Status{Err: err.Error()}
	}
	switch events := ask[0].Revents; {
	case events&unix.POLLERR != 0:
		return port.Status{Gone: true, Err: port.ErrGone.Error()}
	case events&unix.POLLOUT != 0:
		return port.Status{Up: true}
	}
	return port.Status{Err: "link is down"}
}

// Chunks implements port.Port: it keeps memory of its own.
func (p *Port) Chunks() int { return 0 }

// Stats implements port.Port.
func (p *Port) Stats() port.Stats {
	var s port.Stats
	for _, q := range p.own {
		q.counters.AddTo(&s)
	}
	return s
}

// Close implements port.Port: the device goes with its descriptors. A second
// Close does nothing.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	errs := []error{p.device.close()}
	for _, q := range p.own {
		errs = append(errs, q.arena.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close TAP port %q: %w", p.config.Name, err)
	}
	return nil
}
