package vswitch

import (
	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/control/api"
	"bulkhead/vswitch/port"
)

// Ports lists the ports.
func (o *Operator) Ports() ([]api.Port, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	counters, _, _, err := o.counters(l)
	if err != nil {
		return nil, err
	}
	out := []api.Port{}
	for i := range l.ports {
		if l.ports[i].port != nil {
			out = append(out, o.port(l, packet.PortID(i), counters[i]))
		}
	}
	return out, nil
}

// port describes one port; what its name counted before goes on.
func (o *Operator) port(l *live, id packet.PortID, c dataplane.PortCounters) api.Port {
	p := l.ports[id].port
	info, stats := p.Info(), port.Stats{Extra: map[string]uint64{}}
	up, why := o.health(id, p)
	addStats(&stats, p.Stats())
	if before := o.sw.retired[l.ports[id].name]; before != nil {
		addStats(&stats, before.stats)
		c.Add(&before.counters)
	}
	out := api.Port{
		Name: l.ports[id].name, ID: uint16(id), Driver: info.Driver, Device: info.Device, Netns: info.Netns,
		MAC: info.MAC.String(), MTU: info.MTU, Mode: info.Mode, Up: up, Error: why,
		RxFrames: stats.RxFrames, RxBytes: stats.RxBytes, TxFrames: stats.TxFrames, TxBytes: stats.TxBytes,
		In: c.In, Copies: c.Copies, Out: c.Out, Consumed: c.Consumed, Drops: map[string]uint64{}, Extra: stats.Extra,
		Role: config.RoleWorkload,
	}
	if role := l.snapshot.Ports[id].Role; role == dataplane.RoleUplink {
		out.Role = config.RoleUplink
	} else if role == dataplane.RoleMirror {
		out.Role = config.RoleMirror
	} else if s := int(l.snapshot.Ports[id].Segment); s < len(o.sw.cfg.Segments) {
		out.Segment = o.sw.cfg.Segments[s].Name
	}
	if c := o.sw.cfg.Port(out.Name); c != nil {
		describeL2(&out, c)
		out.Blocked = o.sw.blocked(l, id)
	}
	for _, r := range drop.All() {
		if n := c.Drops[r] + stats.Drops[r]*rxOnly(r); n > 0 {
			out.Drops[r.String()] = n
		}
	}
	return out
}

// rxOnly is 1 for what a driver loses before the switch sees it; what it loses
// on the way out is booked by the switch as well.
func rxOnly(r drop.Reason) uint64 {
	if r.Stage() == "rx" {
		return 1
	}
	return 0
}
