package vswitch

import (
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/config"
)

// arrivalTime is how long after an endpoint has come the connections that it
// brought may be taken up. A connection that says nothing for longer is not: its
// next segment is dropped, and it must be opened anew.
const arrivalTime = 30 * time.Second

// arrive has connections be taken up of endpoints that have come to this host. Who
// is on no port of it has not come. The caller holds mu.
func (sw *Switch) arrive(names []string) {
	came := false
	for _, name := range names {
		if e, there := sw.roster[name]; there && e.Port != "" {
			sw.arrivals[name], came = sw.now()+int64(arrivalTime), true
			sw.log.Info("arrived", "endpoint", name, "port", e.Port, "effect", "its TCP connections are taken up", "for", arrivalTime)
		}
	}
	if came {
		s := *sw.linked.s // workers read the one that is live
		s.Arrivals = sw.arrivalsIn(sw.cfg, sw.roster, sw.zones)
		sw.linked.s = &s
		sw.replaceSnapshot(sw.generation)
	}
}

// arrivalsIn are the addresses of the endpoints that have come of late, and are
// still here.
func (sw *Switch) arrivalsIn(cfg *config.Config, r roster, z zones) *dataplane.Arrivals {
	var list []dataplane.Arrival
	for name, until := range sw.arrivals {
		e, there := r[name]
		s := cfg.Segment(e.Segment)
		if until <= sw.now() || !there || e.Port == "" || s == nil {
			delete(sw.arrivals, name)
			continue
		}
		for _, ip := range e.IPs {
			list = append(list, dataplane.Arrival{Zone: z.of[s.VRF], Addr: packet.AddrFrom(ip), Until: until})
		}
	}
	return dataplane.NewArrivals(list)
}
