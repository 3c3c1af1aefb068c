package vswitch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bulkhead/dataplane"
	"bulkhead/dataplane/conntrack"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/control/api"
)

// sweepRows is how many sessions are asked about at a time, between two batches of a
// worker: 0.1 ms.
const sweepRows = 256

// shownChanges bounds the rules that are listed.
const shownChanges = 1000

// Shadow tells what the candidate would do: to what is open now, each session asked
// once, by both; and to what has been decided since it stands.
func (o *Operator) Shadow() (*api.Shadow, error) {
	sw := o.sw
	sw.mu.Lock()
	if _, err := o.live(); err != nil {
		sw.mu.Unlock()
		return nil, err
	}
	s, why := sw.shadow, sw.shadowErr
	if s == nil {
		sw.mu.Unlock()
		return &api.Shadow{Error: why, Changes: []api.ShadowChange{}, Examples: []api.ShadowExample{}}, nil
	}
	since, counts, log := s.since, s.counts, s.log
	sw.mu.Unlock()

	found := sweep{of: log, sum: dataplane.NewDifferences(len(s.rules.Rules)), examples: &examples{seen: map[exampleKey]int{}}}
	if err := found.run(sw); err != nil {
		return nil, err
	}
	decided := dataplane.NewDifferences(len(s.rules.Rules))
	for i := range sw.workers {
		if !sw.onWorker(i, func(*worker) { addDifferences(decided, counts[i]) }) {
			return nil, errStopping
		}
	}
	out := &api.Shadow{
		Stands: true, File: s.file, Generation: s.rules.Generation, SourceHash: fmt.Sprintf("%x", s.rules.SourceHash), Rules: len(s.rules.Rules),
		StandsSeconds: time.Since(since).Seconds(), Sessions: found.sum.Asked, SessionsUnknown: found.unknown, Decisions: decided.Asked,
		Changes: []api.ShadowChange{}, Examples: []api.ShadowExample{},
	}
	for _, key := range s.by {
		out.SignedBy = append(out.SignedBy, key.String())
	}
	addChanges(out, s.rules, "deny", found.sum.Denied, decided.Denied)
	addChanges(out, s.rules, "allow", found.sum.Allowed, decided.Allowed)
	slices.SortStableFunc(out.Changes, func(a, b api.ShadowChange) int {
		return cmp.Compare(b.Sessions+b.Decisions, a.Sessions+a.Decisions)
	})
	out.More = len(out.Changes) > shownChanges
	out.Changes = out.Changes[:min(len(out.Changes), shownChanges)]
	l := sw.live.Load()
	for _, list := range []*examples{found.examples, log} {
		list.mu.Lock()
		for i := range list.list {
			out.Examples = append(out.Examples, describeExample(l, &list.list[i]))
		}
		list.mu.Unlock()
	}
	return out, nil
}

func addDifferences(sum, d *dataplane.Differences) {
	sum.Asked += d.Asked
	for i := range d.Denied {
		sum.Denied[i] += d.Denied[i]
		sum.Allowed[i] += d.Allowed[i]
	}
}

// addChanges lists the rules by which the candidate differs, and adds them up.
func addChanges(out *api.Shadow, rs *policy.Ruleset, change string, sessions, decisions []uint64) {
	for i := range sessions {
		if sessions[i]+decisions[i] == 0 {
			continue
		}
		c := api.ShadowChange{Change: change, Sessions: sessions[i], Decisions: decisions[i]}
		if i < len(rs.Rules) {
			c.Rule, c.Place = rs.Rules[i].Name, fmt.Sprintf("%s:%d", rs.Rules[i].File, rs.Rules[i].Line)
		}
		out.Changes = append(out.Changes, c)
		if change == "deny" {
			out.SessionsCut += sessions[i]
			out.DecisionsDenied += decisions[i]
		} else {
			out.DecisionsAllowed += decisions[i]
		}
	}
}

// sweep asks about every open session, a few at a time.
type sweep struct {
	sum      *dataplane.Differences
	unknown  uint64
	examples *examples
	of       *examples // the candidate's own: by these it is known
	lost     bool      // the candidate is another by now, or none
}

func (x *sweep) run(sw *Switch) error {
	shards := sw.state.Sessions.Shards()
	for shard := range shards {
		for next, done := uint32(0), false; !done; {
			if !sw.onWorker(0, func(w *worker) { next, done = x.some(w, shard, next) }) {
				return errStopping
			}
			if x.lost {
				return api.Conflict("the candidate was changed meanwhile", "ask again")
			}
		}
	}
	return nil
}

// some asks about some sessions of a shard, from row next on.
func (x *sweep) some(w *worker, shard int, from uint32) (next uint32, done bool) {
	s := w.live.snapshot
	if s.Shadow == nil || w.live.examples != x.of {
		x.lost = true
		return from, true
	}
	i := 0
	w.lane.State.Sessions.Each(func(t *conntrack.Table) {
		if i == shard {
			next, done = t.Range(from, sweepRows, w.sw.now(), func(session *conntrack.Session, _ dataplane.Time) { x.ask(s, session) })
		}
		i++
	})
	if len(x.sum.Examples) > 0 {
		x.examples.take(x.sum.Examples, s, true)
		x.sum.Examples = x.sum.Examples[:0]
	}
	return next, done
}

// ask asks both about a session. One that the policy in force would close by its next
// packet is as good as closed, whatever the candidate says.
func (x *sweep) ask(s *dataplane.Snapshot, session *conntrack.Session) {
	live, allowed, known := s.Session(session)
	rule, allows, knows := s.Shadow.Session(session)
	switch {
	case !known || !knows:
		x.unknown++
		return
	case !allowed:
		return
	}
	x.sum.Asked++
	if allows {
		return
	}
	x.sum.Denied[min(int64(rule), int64(len(x.sum.Denied)-1))]++
	if len(x.sum.Examples) < cap(x.sum.Examples) {
		d := dataplane.Difference{Key: session.Key, ICMPType: session.ICMPType(), Live: uint32(live) + 1}
		if rule != policy.NoRule {
			d.Shadow = uint32(rule) + 1
		}
		x.sum.Examples = append(x.sum.Examples, d)
	}
}

func describeExample(l *live, e *example) api.ShadowExample {
	k := &e.Key
	out := api.ShadowExample{
		Change: "deny", Of: "decision", Proto: packet.ProtoName(k.Proto), Source: k.Src.String(), Destination: k.Dst.String(),
		From: nameOf(l, k.Zone, &k.Src), To: nameOf(l, k.Zone, &k.Dst), LiveRule: e.live, Rule: e.shade,
	}
	if e.Allowed {
		out.Change = "allow"
	}
	if e.session {
		out.Of = "session"
	}
	if k.SrcPort != 0 || k.DstPort != 0 {
		out.Source, out.Destination = hostPort(k.Src, k.SrcPort), hostPort(k.Dst, k.DstPort)
	}
	return out
}
