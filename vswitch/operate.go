package vswitch

import (
	"net/netip"
	"slices"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// Operator is the switch as its control API sees it: what operators ask and
// what they may change. What workers own is read by the workers themselves,
// between two batches, so nothing on the path is guarded for the operator.
type Operator struct {
	sw      *Switch
	version string
	reload  func() error
}

// Control returns the switch's operator; reload reads the configuration again
// and puts it in force.
func (sw *Switch) Control(version string, reload func() error) *Operator {
	return &Operator{sw: sw, version: version, reload: reload}
}

// errStopping answers a call while the switch goes down.
var errStopping = api.Busy("the switch is stopping", "start it again")

// live returns what is live.
func (o *Operator) live() (*live, error) {
	l := o.sw.live.Load()
	if l == nil {
		return nil, api.Busy("the switch is starting", "try again in a moment")
	}
	return l, nil
}

// mayChange refuses a change while the switch starts or stops.
func (o *Operator) mayChange() error {
	if o.sw.closed {
		return errStopping
	}
	_, err := o.live()
	return err
}

// nameAt returns the name that a snapshot has for a number; empty for none.
func nameAt(names []string, i uint16) string {
	if int(i) < len(names) {
		return names[i]
	}
	return ""
}

// portAt returns the name of the port of a number; empty for none.
func portAt(l *live, id packet.PortID) string {
	if int(id) < len(l.ports) {
		return l.ports[id].name
	}
	return ""
}

// portNamed finds a port that is open.
func portNamed(l *live, name string) (packet.PortID, error) {
	i := slices.IndexFunc(l.ports, func(p openPort) bool { return p.name == name && p.port != nil })
	if i < 0 {
		return 0, unknownPort(l, name)
	}
	return packet.PortID(i), nil
}

// hostPort writes an address and a port as people write them.
func hostPort(a packet.Addr, port uint16) string {
	return netip.AddrPortFrom(a.Netip(), port).String()
}
