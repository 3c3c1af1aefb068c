package vswitch

import (
	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// account is what a port counted: the walk's counters and the driver's.
type account struct {
	counters dataplane.PortCounters
	stats    port.Stats
}

// retired are the accounts of ports that are closed, by name, so that what is
// counted of a name never goes back: a reload opens a port anew under another
// number, whose counters begin at zero. Names past as many as there can be
// ports are kept as one, under the empty name. The switch's mu guards it.
type retired map[string]*account

// of returns the account to add a name's to.
func (r retired) of(name string) *account {
	if r[name] == nil && len(r) >= packet.MaxPorts {
		name = ""
	}
	if r[name] == nil {
		r[name] = &account{stats: port.Stats{Extra: map[string]uint64{}}}
	}
	return r[name]
}

// retire keeps what a port counted that no worker goes by any more, and that
// is about to be closed, and clears its number for the next. The caller holds
// mu.
func (sw *Switch) retire(id packet.PortID, gone openPort) {
	a := sw.retired.of(gone.name)
	addStats(&a.stats, gone.port.Stats())
	for i := range sw.workers {
		sw.onWorker(i, func(w *worker) {
			c := &w.lane.Counters.Ports[id]
			a.counters.Add(c)
			*c = dataplane.PortCounters{}
		})
	}
}

func addStats(to *port.Stats, s port.Stats) {
	to.RxFrames += s.RxFrames
	to.RxBytes += s.RxBytes
	to.TxFrames += s.TxFrames
	to.TxBytes += s.TxBytes
	for r, n := range s.Drops {
		to.Drops[r] += n
	}
	for name, n := range s.Extra {
		to.Extra[name] += n
	}
}
