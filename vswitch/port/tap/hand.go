package tap

import (
	"encoding/json"
	"errors"
	"fmt"

	"bulkhead/vswitch/port"
)

// detail is what Take cannot learn from a descriptor.
type detail struct{ TSO, USO bool }

var _ port.Giver = (*Port)(nil)

// Hand implements port.Giver.
func (p *Port) Hand() (port.Handed, error) {
	d, err := json.Marshal(detail{TSO: p.device.offload.tso, USO: p.device.offload.uso})
	return port.Handed{Info: p.info, Detail: d, FDs: p.device.fds}, err
}

// Take makes a port of another process's device: one that Open made there, of the
// same configuration. The descriptors are the port's from now on, also on an error.
// Set up, it can be only by a process that may enter the namespace.
func Take(config Config, h port.Handed) (*Port, error) {
	p := &Port{device: &device{fds: h.FDs}}
	if err := p.take(config, h); err != nil {
		return nil, errors.Join(fmt.Errorf("take TAP port %q over: %w", config.Name, err), p.Close())
	}
	return p, nil
}

func (p *Port) take(config Config, h port.Handed) error {
	var d detail
	if err := json.Unmarshal(h.Detail, &d); err != nil {
		return err
	}
	c, err := config.complete()
	if err != nil {
		return err
	}
	if len(h.FDs) != c.Queues {
		return fmt.Errorf("%d descriptors for %d queues", len(h.FDs), c.Queues)
	}
	p.config, p.info, p.device.offload = c, h.Info, offload{tso: d.TSO, uso: d.USO}
	return p.makeQueues()
}

// Keep makes the privileged half of a port that another process runs.
func Keep(config Config, h port.Handed) (*Port, error) { return Take(config, h) }
