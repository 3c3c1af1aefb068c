package vswitch

import (
	"bulkhead/dataplane/group"
	"bulkhead/vswitch/control/api"
)

// Groups lists who listens to which multicast group, in segments that snoop.
func (o *Operator) Groups() ([]api.Group, error) {
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	out := []api.Group{}
	for id := range l.snapshot.Ports { // routers that the configuration names
		if l2 := l.snapshot.Ports[id].L2; l2 == nil || !l2.Router {
			continue
		}
		for _, segment := range l.snapshot.Snooped {
			if carries(l, segment, id) {
				out = append(out, api.Group{Segment: nameAt(l.snapshot.Names.Segments, segment), Kind: "router", Port: l.ports[id].name})
			}
		}
	}
	o.sw.state.Groups.Each(o.sw.now(), func(e group.Entry) {
		g := api.Group{Segment: nameAt(l.snapshot.Names.Segments, e.Segment), Kind: "listener", Group: e.Group.String(),
			Port: portAt(l, e.Port), Peer: nameAt(l.snapshot.Names.Peers, e.Peer), SecondsLeft: float64(e.Left) / 1e9}
		switch e.Group {
		case group.Router:
			g.Kind, g.Group = "router", ""
		case group.Querier4, group.Querier6:
			g.Kind, g.Group = "querier", ""
		}
		out = append(out, g)
	})
	return out, nil
}

// carries tells whether a port is one of a segment's.
func carries(l *live, segment uint16, id int) bool {
	for _, p := range l.snapshot.Segments[segment].Ports {
		if int(p) == id {
			return true
		}
	}
	return false
}
