package udp

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch/port"
)

// detail says in which order the descriptors come: the lanes of the families that
// there are, IPv4 first, then the receivers.
type detail struct{ Families [2]bool }

var _ port.Giver = (*Port)(nil)

// Hand implements port.Giver.
func (p *Port) Hand() (port.Handed, error) {
	var d detail
	h := port.Handed{Info: p.info}
	for i, l := range p.lanes {
		if d.Families[i] = l != nil; l != nil {
			h.FDs = append(h.FDs, l.fds[:]...)
		}
	}
	for _, q := range p.queues {
		h.FDs = append(h.FDs, q.fd)
	}
	var err error
	h.Detail, err = json.Marshal(d)
	return h, err
}

// Take makes a port of another process's sockets: those that Open made there, of
// the same configuration. The descriptors are the port's from now on, also on an
// error.
func Take(config Config, h port.Handed) (*Port, error) {
	p := &Port{info: h.Info}
	rest, err := p.take(config, h)
	if err != nil {
		errs := []error{fmt.Errorf("take udp port %q over: %w", config.Name, err), p.Close()}
		for _, fd := range rest {
			errs = append(errs, unix.Close(fd))
		}
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// take returns the descriptors that no queue or lane has got.
func (p *Port) take(config Config, h port.Handed) (rest []int, err error) {
	rest = h.FDs
	c, err := config.complete()
	if err != nil {
		return rest, err
	}
	var d detail
	if err := json.Unmarshal(h.Detail, &d); err != nil {
		return rest, err
	}
	want := c.Queues * len(c.Addrs)
	for i, has := range d.Families {
		if has && len(rest) >= Lanes {
			p.lanes[i] = &lanes{fds: [Lanes]int(rest[:Lanes])}
			rest = rest[Lanes:]
		}
	}
	if len(rest) != want {
		return rest, fmt.Errorf("%d descriptors for %d queues", len(rest), want)
	}
	for i := range want {
		q, err := takeQueue(&c, c.Addrs[i%len(c.Addrs)], &p.lanes, rest[0])
		rest = rest[1:]
		if err != nil {
			return rest, err
		}
		p.queues = append(p.queues, q)
	}
	return nil, nil
}

// Keep holds a port's sockets beside the process that runs it.
func Keep(config Config, h port.Handed) (*Port, error) { return Take(config, h) }
