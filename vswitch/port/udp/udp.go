package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// Port is an open UDP uplink.
type Port struct {
	info   port.Info
	queues []*queue
	lanes  [2]*lanes // to send from, by family; nil: our VTEP has no address of it
	mu     sync.RWMutex
	closed bool       // guarded by mu
	last   port.Stats // what was counted when it was closed
}

var _ port.Port = (*Port)(nil)

// Open binds the VTEP's addresses. What Open began it undoes on failure.
func Open(config Config) (*Port, error) {
	p, err := open(config)
	if err != nil {
		return nil, fmt.Errorf("open udp port %q: %w", config.Name, err)
	}
	return p, nil
}

func open(config Config) (p *Port, err error) {
	c, err := config.complete()
	if err != nil {
		return nil, err
	}
	p = &Port{info: port.Info{
		Name: c.Name, Driver: "udp", MTU: c.MTU, Device: fmt.Sprintf("udp/%d", c.UDPPort),
		Mode: fmt.Sprintf("segmentation and joining by the kernel, %d source ports", Lanes),
		MAC:  ourMAC,
		Caps: port.Caps{TunnelGSO: true, Routed: true, MaxFrame: packet.MaxFrame},
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	for _, a := range c.Addrs {
		l, err := openLanes(a)
		if err != nil {
			return p, err
		}
		p.lanes[family(a)] = l
	}
	for _, a := range c.Addrs {
		if err := alone(a, c.UDPPort); err != nil {
			return p, err
		}
	}
	for range c.Queues {
		for _, a := range c.Addrs {
			q, err := openQueue(&c, a, &p.lanes)
			if err != nil {
				return p, err
			}
			p.queues = append(p.queues, q)
		}
	}
	return p, nil
}

// family is the index of an address's family.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// Info implements port.Port.
func (p *Port) Info() port.Info { return p.info }

// Up implements port.Port: the host's devices are the host's.
func (p *Port) Up() error { return nil }

// Queues implements port.Port. There is one of each family for each that was
// asked for; any of them sends to either.
func (p *Port) Queues() []port.Queue {
	out := make([]port.Queue, len(p.queues))
	for i, q := range p.queues {
		out[i] = q
	}
	return out
}

// Status implements port.Port.
func (p *Port) Status() port.Status {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return port.Status{Err: "closed"}
	}
	return port.Status{Up: true}
}

// Chunks implements port.Port: it keeps memory of its own.
func (p *Port) Chunks() int { return 0 }

// Stats implements port.Port.
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
		lost := losses(q.fd)
		s.Drops[drop.RxError] += lost
		s.Extra["rx_socket_full"] += lost
		s.Extra["rx_trains"] += q.trains.Load()
		s.Extra["rx_superframes"] += q.superframes.Load()
		s.Extra["tx_trains"] += q.out.trains.Load()
		s.Extra["tx_calls"] += q.out.called.Load()
	}
	return s
}

// Close implements port.Port.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed, p.last = true, p.sum()
	var errs []error
	for _, q := range p.queues {
		errs = append(errs, q.close())
	}
	for _, l := range p.lanes {
		if l != nil {
			errs = append(errs, l.close())
		}
	}
	return errors.Join(errs...)
}
