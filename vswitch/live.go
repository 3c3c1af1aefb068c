package vswitch

import (
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/port"
)

// live is what the workers go by: one snapshot and the open ports that belong
// to it, published together by one pointer store. A worker loads it once a
// batch. It is never changed after that, but for the rule hits and audits, which
// each worker writes in rows of its own.
type live struct {
	snapshot    *dataplane.Snapshot
	ports       []openPort               // by packet.PortID
	ruleHits    [][]uint64               // by worker, then rule; the last of a row is the default deny
	audits      [][]uint64               // by worker, then rule: what rules under audit would have denied
	differences []*dataplane.Differences // by worker; nil: no shadow stands
	examples    *examples
	// around is the period in which the policy is as the snapshot has it; after
	// it, and before it if the clock is set back, other rules speak.
	around policy.Period
}

// openPort is a port as workers see it.
type openPort struct {
	name   string
	port   port.Port // nil: no port has this number
	queues []port.Queue
	caps   port.Caps
	mended mended
}

// mended is the zero value of a port that the mender did not open.
type mended struct {
	at    time.Time
	pause time.Duration // of its stand-in, before
}

// queue returns the queue of a port through which a worker sends, or nil.
func (l *live) queue(id packet.PortID, worker int) port.Queue {
	if int(id) >= len(l.ports) || len(l.ports[id].queues) == 0 {
		return nil
	}
	q := l.ports[id].queues
	return q[worker%len(q)]
}

// source returns the queue that a worker receives from, or nil.
func (l *live) source(s source) port.Queue {
	id, n := s.port(), s.queue()
	if int(id) >= len(l.ports) || n >= len(l.ports[id].queues) {
		return nil
	}
	return l.ports[id].queues[n]
}

// caps returns what a port takes.
func (l *live) caps(id packet.PortID) port.Caps { return l.ports[id].caps }
