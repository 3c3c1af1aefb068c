package dataplane

import (
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// Journal is what a worker has to report of the decisions that rules want to be
// reported: those that are logged, and what rules under audit would have denied.
// The walk writes it, and whoever owns the worker reads and empties it between
// batches. A bucket a port, and a peer, bounds what is written, so that nobody
// fills it for others; what does not come in is counted as lost.
type Journal struct {
	Events []Event // at most journalSize
	Lost   uint64  // since the worker began
}

// journalSize is how many events a worker keeps until they are taken from it:
// as many as a batch has frames, twice over, since a frame can have two.
const journalSize = 2 * packet.BatchSize

// eventsPerSecond and eventsBurst bound the events of one port or peer, on one
// worker.
const (
	eventsPerSecond = 10
	eventsBurst     = 50
)

// EventKind is what a rule did.
type EventKind uint8

const (
	// SessionOpened: it allowed a connection, which has a session now.
	SessionOpened EventKind = iota
	// PacketPassed: it allowed a packet, and is stateless.
	PacketPassed
	// Denied: it denied a packet.
	Denied
	// WouldDeny: it is under audit, and would have denied a packet.
	WouldDeny
)

func (k EventKind) String() string {
	return [...]string{"session-opened", "packet-passed", "denied", "would-deny"}[k&3]
}

// Event is one decision. The rule and the addresses mean what they mean in the
// snapshot of the batch.
type Event struct {
	Kind               EventKind
	ICMPType, ICMPCode uint8
	Ingress            packet.PortID
	Rule               policy.RuleID
	Key                packet.Key // in the direction that was judged
}

// report writes down a decision, if whoever sent the packet has events left.
func (x *walk) report(kind EventKind, rule policy.RuleID, f *packet.Frame, p *passage, key *packet.Key, icmp uint8) {
	if x.rec != nil {
		return
	}
	j := &x.Journal
	if len(j.Events) == journalSize || !x.reports[x.bucketOf(f, p)].take(x.now, eventsPerSecond, eventsBurst) {
		j.Lost++
		return
	}
	j.Events = append(j.Events, Event{kind, icmp, f.Headers.ICMPCode, f.Ingress, rule, *key})
}

// audit counts, and reports, what a rule under audit would have denied.
func (x *walk) audit(rule policy.RuleID, f *packet.Frame, p *passage, key *packet.Key, icmp uint8) {
	if x.rec != nil {
		x.noteAudit(rule)
		return
	}
	if int64(rule) < int64(len(x.Counters.Audits)) {
		x.Counters.Audits[rule]++
	}
	x.report(WouldDeny, rule, f, p, key, icmp)
}
