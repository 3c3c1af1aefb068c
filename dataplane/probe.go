package dataplane

import (
	"fmt"

	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/fdb"
	"bulkhead/dataplane/fragment"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
)

// Prober carries made frames through the walk that forwards, over the tables of
// a live snapshot, to see that they do what they should. It is [Run], whole, not
// a second walk and not [Explain]: a recorder turns steps off, and what a probe is
// to find may be in one of them. What must not count is the state. So a Prober has
// a lane of its own: sessions, translations, counters and journal in which nobody
// else is, and which are empty again after each probe; mirrors do not see it. Nothing that it makes is
// sent: the frame and all copies of it end with the call.
//
// A Prober is one caller's at a time. It may run on any goroutine; on a worker,
// between two batches, it goes by what that worker goes by.
type Prober struct {
	worker *Worker
	batch  packet.Batch
	memory []byte // the frame, headroom and tailroom
}

// MaxProbe bounds a probe, in bytes from its Ethernet header.
const MaxProbe = 256

// probeState are the bounds of a Prober's tables: room for what one frame makes.
var probeState = StateConfig{
	Sessions:  conntrack.Config{Sessions: 64},
	Fragments: fragment.Config{Packets: 16, Held: 16},
	FDB:       fdb.Config{Entries: 64},
	NAT:       nat.Config{Mappings: 64},
}

// NewProber makes a prober; Close frees its tables.
func NewProber() (*Prober, error) {
	state, err := NewState(probeState)
	if err != nil {
		return nil, fmt.Errorf("tables to probe with: %w", err)
	}
	worker := NewWorker(state, 0, 1)
	worker.unwatched = true
	return &Prober{worker: worker, memory: make([]byte, packet.Headroom+MaxProbe+packet.Headroom)}, nil
}

// Close frees the tables.
func (p *Prober) Close() error { return p.worker.State.Close() }

// End is how a frame ended.
type End struct {
	Reason drop.Reason   // None: it was not dropped
	Egress packet.PortID // NoPort: it was not sent
	Rule   uint32        // that decided, plus one; 0: none did
	Dst    packet.MAC    // to whom it would have been sent
}

// Probe carries a frame, as it would come in by port, through the switch. A frame
// longer than MaxProbe ends as rx-oversize.
func (p *Prober) Probe(s *Snapshot, now Time, raw []byte, port packet.PortID) End {
	if len(raw) > MaxProbe {
		return End{Reason: drop.RxOversize, Egress: packet.NoPort}
	}
	p.batch.Reset()
	f := p.batch.Next()
	n := copy(p.memory[packet.Headroom:], raw)
	f.Begin(p.memory, packet.Headroom, uint32(packet.Headroom+n), port)
	Run(p.worker, s, now, &p.batch)
	end := End{Reason: f.Reason, Egress: f.Egress, Rule: f.Rule}
	if b := f.Bytes(); len(b) >= 6 {
		end.Dst = packet.MAC(b[:6])
	}
	p.forget(now, port, f.Egress)
	return end
}

// forget empties what the walk has written: the next probe must not pass because
// this one did, nor be one too many for a port's bounds. Translations end with
// their sessions.
func (p *Prober) forget(now Time, ports ...packet.PortID) {
	w := p.worker
	for _, port := range ports {
		if port != packet.NoPort {
			w.State.Links.ports[port] = link{}
		}
	}
	w.State.Sessions.Each(func(t *conntrack.Table) {
		for next, done := uint32(0), false; !done; {
			next, done = t.Range(next, int(t.Max()), now, func(s *conntrack.Session, _ Time) { t.Remove(s) })
		}
	})
	w.Journal.Events = w.Journal.Events[:0]
}
