package packet

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/netdev"
	"bulkhead/vswitch/port/vnet"
)

// detail is what Take cannot learn from a descriptor.
type detail struct{ Index int }

var _ port.Giver = (*Port)(nil)

// Hand implements port.Giver.
func (p *Port) Hand() (port.Handed, error) {
	d, err := json.Marshal(detail{Index: p.index})
	h := port.Handed{Info: p.info, Detail: d}
	for _, q := range p.queues {
		h.FDs = append(h.FDs, q.fd)
	}
	return h, err
}

// Take makes the running half of a port that another process has opened: that one
// looks after the guard and the link, and Close leaves both to it. The descriptors
// are the port's from now on, also on an error.
func Take(config Config, h port.Handed) (*Port, error) {
	return again(config, h, true, func(p *Port, c *Config) error {
		for i, q := range p.queues {
			if err := q.lend(c, i); err != nil {
				return err
			}
			q.ring.lost = h.Info.Inherited
		}
		if err := p.watch(); err != nil {
			return err
		}
		if s := netdev.Look(p.index); s.Err == nil {
			p.see(s) // the link of one that ran before is up, and no news of it comes
		}
		return nil
	})
}

// Keep makes the privileged half of a port that another process runs: it goes on
// looking after the guard. One that was broken meanwhile shuts the port. Which device
// it is the configuration says, and not who hands it over.
func Keep(config Config, h port.Handed) (*Port, error) {
	dev, err := netlink.LinkByName(config.Device)
	if err != nil {
		return nil, fmt.Errorf("take packet port %q over: device %q: %w", config.Name, config.Device, err)
	}
	return again(config, h, false, func(p *Port, _ *Config) error {
		if p.index != dev.Attrs().Index {
			p.lent = true // not ours to close
			return fmt.Errorf("device %q is another one by now", config.Device)
		}
		err := p.watch()
		if err == nil {
			p.look()
		}
		return err
	})
}

// again makes a port of descriptors, and finishes it as its half wants.
func again(config Config, h port.Handed, lent bool, finish func(*Port, *Config) error) (*Port, error) {
	p := &Port{info: h.Info, lent: lent}
	for _, fd := range h.FDs {
		q := &queue{fd: fd}
		q.down.Store(true)
		q.trouble.Store(true)
		p.queues = append(p.queues, q)
	}
	c, err := config.complete()
	var d detail
	if err == nil {
		err = json.Unmarshal(h.Detail, &d)
	}
	if err == nil && len(h.FDs) == 0 {
		err = errors.New("no descriptors came with it")
	}
	if p.index = d.Index; err == nil {
		err = finish(p, &c)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take packet port %q over: %w", config.Name, err), p.Close())
	}
	return p, nil
}

// lend gives a queue that is only a descriptor its ring and its memory.
func (q *queue) lend(c *Config, number int) (err error) {
	q.port, q.name, q.limit, q.uso = c.Port, c.Name, c.maxFrame(), hasUSO()
	if q.ring, err = mapMemory(q.fd); err != nil {
		return err
	}
	q.long, err = vnet.NewArena(c.Loans, number)
	return err
}
