package helper

import (
	"errors"
	"fmt"
	"slices"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// lent is a port that the helper opened and this process runs: Port is its running
// half, the rest is asked of the helper.
type lent struct {
	port.Port
	client *Client
	id     packet.PortID
	want   want
	handed port.Handed
}

// Info implements port.Port.
func (p *lent) Info() port.Info { return p.handed.Info }

// Up implements port.Port.
func (p *lent) Up() error {
	_, err := p.client.ask(&request{Op: opUp, ID: p.id})
	return err
}

// Status implements port.Port: what the running half sees, and of a port with a
// guard what the helper does. While that is away nobody looks after guards, and a
// device that somebody else lays hands on is not shut.
func (p *lent) Status() port.Status {
	s := p.Port.Status()
	if s.Gone || p.handed.Info.Driver != "packet" {
		return s
	}
	a, err := p.client.ask(&request{Op: opStatus, ID: p.id})
	if err != nil {
		return port.Status{Up: s.Up, Err: fmt.Sprintf("its guard is not looked after: %v", err)}
	}
	return a.Status
}

// Close implements port.Port. The helper goes first: as long as it holds an AF_XDP
// socket the kernel may write to the frames that the running half gives back. So if
// it is away, that waits until one is back, which holds nothing of the port. A TAP
// goes with its descriptors; any other device is left as it is, behind its guard.
func (p *lent) Close() error {
	waits, err := p.client.let(p)
	if waits {
		return err
	}
	return errors.Join(err, p.Port.Close())
}

// let has the helper close its half of a port. waits says that the running half
// must not be closed yet. When it is, the client's lock is not held any more: a TAP's
// device ends with it, for which the kernel waits a while, and there may be a
// thousand of them.
func (c *Client) let(p *lent) (waits bool, err error) {
	if why := c.letLater(p); why != nil {
		return p.waits(), why
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, _, err = c.call(&request{Op: opClose, ID: p.id}, nil); err != nil {
		c.forget(p)
		return p.waits(), err
	}
	delete(c.ports, p.id)
	return false, nil
}

// waits tells whether the running half may close only after the helper's.
func (p *lent) waits() bool { return p.handed.Info.Driver == "xdp" }

// While a helper is away it is called again and again, and if it hangs each call holds
// mu for its whole patience. Who takes a port away must not wait for that: a policy may
// be waiting behind it, and what that takes back. So a port that is let go of meanwhile
// is noted in later, under a lock that nobody holds for long, and the helper hears of it
// before it counts as back: by the hello, which does not name the port, or by a close
// of its own, if the hello was under way.

// letLater notes a port that no helper is there to let go of, and says why there is
// none; nil: there is one, and nothing is noted.
func (c *Client) letLater(p *lent) error {
	c.letting.Lock()
	defer c.letting.Unlock()
	why := c.awayNow.Load()
	if why == nil {
		return nil
	}
	c.later = append(c.later, p)
	return *why
}

// forget drops a port that the helper could not be told of: the next hello does not
// name it. The caller holds mu.
func (c *Client) forget(p *lent) {
	delete(c.ports, p.id)
	if p.waits() {
		c.closing = append(c.closing, p.Port)
	}
}

// takeLater takes the ports that were noted. If there are none and the helper is back,
// that is so from now on.
func (c *Client) takeLater(back bool) []*lent {
	c.letting.Lock()
	defer c.letting.Unlock()
	gone := c.later
	c.later = nil
	if back && len(gone) == 0 {
		c.awayNow.Store(nil)
	}
	return gone
}

// back tells a helper that answers again what was let go of since the hello was
// written. It ends: no port is opened before it has. The caller holds mu.
func (c *Client) back() error {
	for gone := c.takeLater(true); len(gone) > 0; gone = c.takeLater(true) {
		for _, p := range gone {
			if _, _, err := c.call(&request{Op: opClose, ID: p.id}, nil); err != nil {
				c.forget(p)
				continue
			}
			delete(c.ports, p.id)
			if p.waits() {
				_ = p.Port.Close()
			}
		}
		if c.away != nil {
			return c.away
		}
	}
	return nil
}

// again is what another helper is told of a port, with descriptors of its own: who
// lets go of the port meanwhile closes the port's. It is nil if that has happened.
func (c *Client) again(p *lent) (*port.Handed, error) {
	c.letting.Lock()
	defer c.letting.Unlock()
	if slices.Contains(c.later, p) {
		return nil, nil
	}
	h := p.handed
	h.FDs = nil
	for _, fd := range p.handed.FDs {
		again, err := sys.Duplicate(fd)
		if err != nil {
			closeAll(h.FDs)
			return nil, err
		}
		h.FDs = append(h.FDs, again)
	}
	return &h, nil
}
