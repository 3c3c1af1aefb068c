package vswitch

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
)

// plan is which ports are open before and after a change.
type plan struct {
	ids     map[string]packet.PortID
	open    []openPort
	next    packet.PortID
	added   []packet.PortID
	removed []packet.PortID
	gone    []openPort // the same, as they were open
	// released are those that had to be closed before the change was sure,
	// because a successor wants their device. They are absent until it is up,
	// or until they are opened again because it did not come to that.
	released []string
}

// keepPorts is the plan that changes no port.
func (sw *Switch) keepPorts() *plan {
	return &plan{ids: maps.Clone(sw.ports), open: slices.Clone(sw.opened), next: sw.nextPort}
}

// openPorts opens what a configuration has and the switch has not, and keeps
// what both have. A port whose own settings changed is opened anew under a new
// number, so that nothing that was known of the old one speaks for the new.
// What is most likely to fail comes first: while nothing had to be closed, a
// failure changes nothing.
func (sw *Switch) openPorts(cfg *config.Config) (*plan, error) {
	p := sw.keepPorts()
	p.ids = map[string]packet.PortID{}
	var early, late []*config.Port // what is to be opened: at once, and when a device is free
	for i := range cfg.Ports {
		c := &cfg.Ports[i]
		switch id, had := sw.ports[c.Name]; {
		case had && !isAbsent(sw.opened[id].port) && sw.goesOn(cfg, c):
			p.ids[c.Name] = id
		case had || sw.placeTaken(c):
			late = append(late, c)
		default:
			early = append(early, c)
		}
	}
	if err := p.addAll(sw, cfg, early); err != nil {
		return p, err
	}
	p.takeOut(sw, late)
	return p, p.addAll(sw, cfg, late)
}

// takeOut takes the ports out that do not go on: those whose device a new port
// wants at once, the others when the change is sure.
func (p *plan) takeOut(sw *Switch, wanted []*config.Port) {
	for name, id := range sw.ports {
		if kept, goesOn := p.ids[name]; goesOn && kept == id {
			continue
		}
		old := sw.portConfig(name)
		if slices.ContainsFunc(wanted, func(c *config.Port) bool { return c.Name == name || samePlace(old, c) }) {
			sw.release(id, errors.New("it is being changed"))
			p.released = append(p.released, name)
		} else {
			p.removed, p.gone = append(p.removed, id), append(p.gone, p.open[id])
		}
		p.open[id] = openPort{name: name}
	}
}

// goesOn tells whether a port that is open can stay so. An uplink was opened
// with the VTEP, too: its filter knows which frames are the switch's. A
// workload's was opened with its segment's gateways: its routes and prefix
// lengths come from them.
func (sw *Switch) goesOn(cfg *config.Config, c *config.Port) bool {
	if c.Role == config.RoleUplink {
		return config.SamePort(sw.portConfig(c.Name), c) && reflect.DeepEqual(sw.cfg.VTEP, cfg.VTEP)
	}
	return config.SamePort(sw.portConfig(c.Name), c) && sameGateways(sw.cfg.Segment(c.Segment), cfg.Segment(c.Segment))
}

func sameGateways(a, b *config.Segment) bool {
	if a == nil || b == nil {
		return a == b // a trunk has no segment of its own
	}
	return slices.Equal(a.Gateways, b.Gateways)
}

// placeTaken tells whether a port in force has the device that c wants.
func (sw *Switch) placeTaken(c *config.Port) bool {
	return slices.ContainsFunc(sw.cfg.Ports, func(old config.Port) bool {
		_, open := sw.ports[old.Name]
		return open && samePlace(&old, c)
	})
}

// samePlace tells whether two ports want the same device, whatever their drivers: two
// drivers on one device would undo each other's guard.
func samePlace(a, b *config.Port) bool {
	if a != nil && a.Driver == "udp" && b.Driver == "udp" {
		return true // the VTEP's port
	}
	return a != nil && a.Netns == b.Netns && a.Device == b.Device && a.File == b.File &&
		(a.Device != "" || a.Netns != "" || a.File != "")
}

// portConfig returns the configuration that a port was opened with.
func (sw *Switch) portConfig(name string) *config.Port { return sw.cfg.Port(name) }

func (p *plan) addAll(sw *Switch, cfg *config.Config, list []*config.Port) error {
	for _, c := range list {
		if err := p.add(sw, cfg, c); err != nil {
			return err
		}
	}
	return nil
}

// add opens one port.
func (p *plan) add(sw *Switch, cfg *config.Config, c *config.Port) error {
	id, found := p.number()
	if !found {
		return fmt.Errorf("open port %q: all %d port numbers are in use", c.Name, packet.MaxPorts)
	}
	o := Opening{ID: id, Region: sw.region, Loans: &sw.loans, Workers: sw.workerCount, Log: sw.log, VTEP: cfg.VTEP, Segment: cfg.Segment(c.Segment)}
	opened, err := sw.open(c, o)
	if err != nil {
		return fmt.Errorf("open port %q: %w", c.Name, err)
	}
	p.ids[c.Name] = id
	p.open[id] = openPort{name: c.Name, port: opened, queues: opened.Queues(), caps: opened.Info().Caps}
	p.added = append(p.added, id)
	return nil
}

// number finds a number for a new port: the one least recently used, so that
// a session of a port that is gone does not meet its successor.
func (p *plan) number() (packet.PortID, bool) {
	for range packet.MaxPorts {
		id := p.next
		p.next = (p.next + 1) % packet.MaxPorts
		for int(id) >= len(p.open) {
			p.open = append(p.open, openPort{})
		}
		if p.open[id].port == nil {
			return id, true
		}
	}
	return 0, false
}

// undo closes what the plan opened, and opens again what it had to close.
func (p *plan) undo(sw *Switch) error {
	for _, id := range p.added {
		if err := p.open[id].port.Close(); err != nil {
			sw.log.Error("port-close", "port", p.open[id].name, "error", err)
		}
	}
	if len(p.released) == 0 {
		return nil
	}
	return sw.reopen(p.released)
}

// finish closes what is no longer wanted and sets the links of what is new up.
func (p *plan) finish(sw *Switch) {
	for i, gone := range p.gone {
		sw.forget(p.removed[i])
		sw.retire(p.removed[i], gone)
		if err := gone.port.Close(); err != nil {
			sw.log.Error("port-close", "port", gone.name, "error", err)
		}
	}
	for _, id := range p.added {
		sw.begin(id)
		sw.raise(id)
	}
}

// raise sets a port's link up. One that fails is tried again by the mender.
func (sw *Switch) raise(id packet.PortID) {
	o := &sw.opened[id]
	if err := o.port.Up(); err != nil {
		if before, known := sw.notUp.Swap(id, err.Error()); !known || before != err.Error() {
			sw.log.Error("port-up", "port", o.name, "error", err, "effect", "it is tried again")
		}
		return
	}
	sw.notUp.Delete(id)
	info := o.port.Info()
	sw.log.Info("port-up", "port", o.name, "driver", info.Driver, "device", info.Device, "mode", info.Mode)
}

// begin makes a number a new port's: what its last port had learned is not the
// new one's. What it had counted went with it (retire).
func (sw *Switch) begin(id packet.PortID) {
	sw.forget(id)
	if sw.generation > 1 { // the first ports of all had none before them
		sw.state.FDB.FlushPort(id)
	}
	sw.state.Links.Forget(id)
	sw.setQuota(id)
}

// setQuota bounds the sessions of a port: an uplink speaks for many hosts, so
// the table's own bound is its only one.
func (sw *Switch) setQuota(id packet.PortID) {
	role := sw.live.Load().snapshot.Ports[id].Role
	sw.onWorker(0, func(*worker) { sw.boundSessions(id, role) })
}

// share is a shard's part of a bound; none stays none.
func share(n, shards uint32) uint32 {
	if n == 0 {
		return 0
	}
	return max(1, n/shards)
}
