package xdp

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"bulkhead/vswitch/port"
)

// detail is what Take and Keep cannot learn from a descriptor.
type detail struct {
	Index int
	Mode  string // of the program: native, generic
}

var _ port.Giver = (*Port)(nil)

// Hand implements port.Giver. The port must have been opened as Lent.
func (p *Port) Hand() (port.Handed, error) {
	d, err := json.Marshal(detail{Index: p.index, Mode: p.attach.mode})
	h := port.Handed{Info: p.info, Detail: d}
	for _, q := range p.queues {
		h.FDs = append(h.FDs, q.fd)
	}
	return h, err
}

// Take makes the running half of a port that another process has opened as Lent,
// over the region that both have mapped. Its Close must come after the other's:
// as long as either holds a socket the kernel may write to its chunks. The
// descriptors are the port's from now on, also on an error.
func Take(c Config, h port.Handed) (*Port, error) {
	return again(c, h, true, func(p *Port, _ detail) error {
		for _, q := range p.queues {
			if err := q.mapRings(); err != nil {
				return err
			}
			if err := q.fillUp(); err != nil {
				return err
			}
		}
		return p.watch()
	})
}

// Keep makes the privileged half of a port that another process runs: by the pin,
// which has kept the program where it is. Which device it is the configuration says,
// and not who hands it over.
func Keep(c Config, h port.Handed) (*Port, error) {
	dev, err := netlink.LinkByName(c.Device)
	if err != nil {
		return nil, fmt.Errorf("take xdp port %q over: device %q: %w", c.Name, c.Device, err)
	}
	return again(c, h, false, func(p *Port, d detail) error {
		if p.index != dev.Attrs().Index {
			p.lent = true // not ours to close
			return fmt.Errorf("device %q is another one by now", c.Device)
		}
		return p.keep(&c, d.Mode)
	})
}

// keep finds the link again and hears frames for others again.
func (p *Port) keep(c *Config, mode string) error {
	path, err := pinPath(p.index)
	if err != nil {
		return err
	}
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return fmt.Errorf("the pinned link %s: %w", path, err)
	}
	p.attach = &attachment{link: l, path: path, mode: mode}
	if p.hearing, err = hear(p.index, c.Uplink); err != nil {
		return err
	}
	return p.watch()
}

// again makes a port of descriptors, and finishes it as its half wants.
func again(c Config, h port.Handed, lent bool, finish func(*Port, detail) error) (*Port, error) {
	p := &Port{info: h.Info, shared: c.Uplink != nil, lent: lent}
	for _, fd := range h.FDs {
		p.queues = append(p.queues, newQueue(&socket{fd: fd, wakeSend: kick, wakeFill: kickFill}, &c))
	}
	var d detail
	err := json.Unmarshal(h.Detail, &d)
	if err == nil && len(h.FDs) != c.Queues {
		err = fmt.Errorf("%d descriptors for %d queues", len(h.FDs), c.Queues)
	}
	if p.index = d.Index; err == nil {
		err = finish(p, d)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take xdp port %q over: %w", c.Name, err), p.Close())
	}
	return p, nil
}
