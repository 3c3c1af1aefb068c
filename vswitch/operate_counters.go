package vswitch

import (
	"maps"
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/control/api"
)

// Counters adds up the accounts.
func (o *Operator) Counters() (*api.Counters, error) {
	o.sw.mu.Lock()
	defer o.sw.mu.Unlock()
	l, err := o.live()
	if err != nil {
		return nil, err
	}
	ports, hits, audits, err := o.counters(l)
	if err != nil {
		return nil, err
	}
	out := &api.Counters{
		Rules: map[string]uint64{}, Audits: map[string]uint64{}, Drops: []api.Drop{},
		DefaultDeny: hits[len(hits)-1] + o.sw.defaultDeny, LogLost: o.sw.journal.Lost(),
	}
	o.addAccounts(out, l, ports)
	if rs := l.snapshot.Rules; rs != nil {
		for i := range rs.Rules {
			out.Rules[rs.Rules[i].Name] += hits[i]
			if rs.Rules[i].Audit {
				out.Audits[rs.Rules[i].Name] += audits[i]
			}
		}
	}
	for rule, n := range o.sw.auditTotals {
		out.Audits[rule.name] += n
	}
	for rule, n := range o.sw.ruleTotals {
		out.Rules[rule.name] += n
	}
	return out, nil
}

// addAccounts adds the accounts of every port: those that are open, and those
// that were, by name.
func (o *Operator) addAccounts(out *api.Counters, l *live, ports []dataplane.PortCounters) {
	byName := map[string]*dataplane.PortCounters{}
	add := func(name string, c *dataplane.PortCounters) {
		if byName[name] == nil {
			byName[name] = new(dataplane.PortCounters)
		}
		byName[name].Add(c)
	}
	for i := range ports {
		add(l.ports[i].name, &ports[i])
	}
	for name, before := range o.sw.retired {
		add(name, &before.counters)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		c := byName[name]
		out.In, out.Copies, out.Out, out.Consumed = out.In+c.In, out.Copies+c.Copies, out.Out+c.Out, out.Consumed+c.Consumed
		for _, r := range drop.All() {
			if n := c.Drops[r]; n > 0 {
				out.Dropped += n
				out.Drops = append(out.Drops, api.Drop{Port: name, Reason: r.String(), Stage: string(r.Stage()), Meant: r.Sentence(), Frames: n})
			}
		}
	}
}

// counters adds up the workers' accounts of what is live. Who also adds what
// was before holds mu from before he asked what is live: a reload moves the
// one to the other.
func (o *Operator) counters(l *live) (ports []dataplane.PortCounters, rules, audits []uint64, err error) {
	ports = make([]dataplane.PortCounters, len(l.ports))
	rules, audits = make([]uint64, len(l.ruleHits[0])), make([]uint64, len(l.audits[0]))
	for i := range o.sw.workers {
		if !o.sw.onWorker(i, func(w *worker) {
			for p := range ports {
				ports[p].Add(&w.lane.Counters.Ports[p])
			}
			for r, n := range l.ruleHits[i] {
				rules[r] += n
			}
			for r, n := range l.audits[i] {
				audits[r] += n
			}
		}) {
			return nil, nil, nil, errStopping
		}
	}
	return ports, rules, audits, nil
}
