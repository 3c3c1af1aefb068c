package vswitch

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
)

// What rules want logged goes from the walk, which bounds it for each port and
// peer, to the worker's journal, from there between two batches to this one, and
// is written by the reporter: no worker waits for whoever reads the log. What
// does not fit anywhere is counted, and the log says how much that was.

// journalMost bounds the events that wait to be written.
const journalMost = 1024

// statesMost bounds the states that waiting events hold: each is a snapshot, of
// maybe 100 MiB, that cannot be let go while its events are not written. Changes
// of endpoints would else pile them up behind a log that nobody reads.
const statesMost = 4

// sayEvery is how often the log says what was left out.
const sayEvery = time.Second

// journal is what waits to be written.
type journal struct {
	mu      sync.Mutex // guards what follows; a worker holds it for a copy
	entries []entry
	states  []*live // of entries, each once
	lost    uint64  // events that were not written, in all

	wake chan struct{}
	over chan struct{}
}

// entry is an event, and the state that judged it.
type entry struct {
	dataplane.Event
	by *live
}

func newJournal() journal {
	return journal{wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// report gives the journal what the walk has written down. It is called by the
// worker, between two batches.
func (w *worker) report() {
	j := &w.lane.Journal
	if len(j.Events) == 0 && j.Lost == w.lostTold {
		return
	}
	w.sw.journal.take(j.Events, w.live, j.Lost-w.lostTold)
	j.Events, w.lostTold = j.Events[:0], j.Lost
}

// take takes events, as many as there is room for.
func (j *journal) take(events []dataplane.Event, by *live, lost uint64) {
	j.mu.Lock()
	room := 0
	if len(events) > 0 {
		room = min(len(events), j.room(by))
	}
	for _, e := range events[:room] {
		j.entries = append(j.entries, entry{e, by})
	}
	j.lost += lost + uint64(len(events)-room)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default: // the reporter is called already
	}
}

// room is how many events of a state there is room for. The caller holds mu.
func (j *journal) room(by *live) int {
	if !slices.Contains(j.states, by) {
		if len(j.states) == statesMost {
			return 0
		}
		j.states = append(j.states, by)
	}
	return journalMost - len(j.entries)
}

// drain returns what waits, and how much was lost in all. The memory of spare is
// used for what comes next.
func (j *journal) drain(spare []entry) (entries []entry, lost uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries, j.entries, j.states = j.entries, spare[:0], nil
	return entries, j.lost
}

// Lost is how many events were not written, in all.
func (j *journal) Lost() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

// close has the reporter write what is there, and end.
func (j *journal) close() { close(j.over) }

// report is the reporter's life; Close ends it.
func (sw *Switch) report() {
	defer close(sw.reported)
	r := reporter{sw: sw}
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		select {
		case <-sw.journal.over:
			r.write()
			r.sayLost()
			return
		case <-sw.journal.wake:
			r.write()
		case <-tick.C:
			r.sayLost()
		}
	}
}

// reporter writes the journal to the log.
type reporter struct {
	sw         *Switch
	spare      []entry
	lost, said uint64
}

func (r *reporter) write() {
	entries, lost := r.sw.journal.drain(r.spare)
	for i := range entries {
		r.sw.log.Info(entries[i].Kind.String(), entries[i].fields()...)
		entries[i] = entry{} // so that it holds no state that is over
	}
	r.spare, r.lost = entries, lost
}

// sayLost says how much was left out since it last said so.
func (r *reporter) sayLost() {
	if r.lost == r.said {
		return
	}
	r.sw.log.Warn("rule-log-limit", "lost", r.lost-r.said, "in_all", r.lost, "effect", "these events of rules are counted, and not logged one by one")
	r.said = r.lost
}

// fields are what the log says of an event.
func (e *entry) fields() []any {
	rule := &e.by.snapshot.Rules.Rules[e.Rule]
	k := &e.Key
	out := []any{"rule", rule.Name}
	for _, remark := range [2][2]string{{"owner", rule.Owner}, {"reason", rule.Reason}} {
		if remark[1] != "" {
			out = append(out, remark[0], remark[1])
		}
	}
	out = append(out, "port", portAt(e.by, e.Ingress), "from", nameOf(e.by, k.Zone, &k.Src), "to", nameOf(e.by, k.Zone, &k.Dst),
		"proto", packet.ProtoName(k.Proto))
	if k.Proto == packet.ProtoICMP || k.Proto == packet.ProtoICMPv6 {
		return append(out, "source", k.Src.String(), "destination", k.Dst.String(), slog.Int("type", int(e.ICMPType)), slog.Int("code", int(e.ICMPCode)))
	}
	return append(out, "source", hostPort(k.Src, k.SrcPort), "destination", hostPort(k.Dst, k.DstPort))
}

// nameOf is the endpoint that has an address; of nobody's it is empty.
func nameOf(l *live, zone uint16, a *packet.Addr) string {
	table := l.snapshot.Identity
	if ep, _, found := table.ByAddr(zone, a); found {
		return table.Endpoint(ep).Name
	}
	return ""
}
