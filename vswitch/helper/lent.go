package helper

import (
	"errors"
	"fmt"

	"bulkhead/dataplane/packet"
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
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ports, p.id)
	_, _, err = c.call(&request{Op: opClose, ID: p.id}, nil)
	if err != nil && p.handed.Info.Driver == "xdp" {
		c.closing = append(c.closing, p.Port)
		return true, err
	}
	return false, err
}
