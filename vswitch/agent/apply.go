package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"bulkhead/vswitch/agent/world"
	"bulkhead/vswitch/control/api"
)

// maxChange is the most items of one change: with the longest labels and addresses
// that are usual it stays under the bound on a request.
const maxChange = 1000

// refusal is something that the switch refused: it is not tried again before a
// time, unless it has become another.
type refusal struct {
	what  string // as JSON
	why   string
	again time.Time
	seen  time.Time
}

const retryAfter = 10 * time.Second

// item is one thing to state.
type item struct {
	key string // kind and name
	put func(*api.StateChange)
	as  any
}

// apply makes what the switch has of this source what is to be. First what others
// need: segments, peers; then endpoints; then what nobody needs any more.
func (a *Agent) apply(ctx context.Context, have *api.State, out *world.Result) (alarms []string) {
	segments := ownOf(have.Segments, func(s *api.StateSegment) string { return s.Source })
	peers := ownOf(have.Peers, func(p *api.StatePeer) string { return p.Source })
	endpoints := ownOf(have.Stated, func(e *api.StateEndpoint) string { return e.Source })

	gone := missing(endpoints, out.Endpoints, func(e *api.StateEndpoint) string { return e.Name })
	may := a.hold.filter(time.Now(), gone, len(endpoints))
	wanted := a.hold.keep(out.Endpoints, endpoints)
	if n := a.hold.count(); n > 0 {
		alarms = append(alarms, fmt.Sprintf("%d of %d endpoints are to go at once: held back", n, len(endpoints)))
	}

	a.send(ctx, differing("segment", segments, out.Segments, func(s *api.StateSegment) string { return s.Name }, func(s api.StateSegment) func(*api.StateChange) {
		return func(c *api.StateChange) { c.Segments = append(c.Segments, s) }
	}), nil, nil)
	a.noteUnfit(out.Segments)
	a.send(ctx, differing("peer", peers, out.Peers, func(p *api.StatePeer) string { return p.Name }, func(p api.StatePeer) func(*api.StateChange) {
		return func(c *api.StateChange) { c.Peers = append(c.Peers, p) }
	}), nil, nil)
	if a.send(ctx, differing("endpoint", endpoints, wanted, func(e *api.StateEndpoint) string { return e.Name }, func(e api.StateEndpoint) func(*api.StateChange) {
		return func(c *api.StateChange) { c.Endpoints = append(c.Endpoints, e) }
	}), may, a.arrived) {
		a.hold.done(time.Now(), may)
	}
	a.drop(ctx, segments, peers, wanted, out)
	return append(alarms, a.refusals()...)
}

// missing are the names in have that want has not.
func missing[T any](have, want []T, name func(*T) string) (names []string) {
	wanted := map[string]bool{}
	for i := range want {
		wanted[name(&want[i])] = true
	}
	for i := range have {
		if n := name(&have[i]); !wanted[n] {
			names = append(names, n)
		}
	}
	return names
}

// differing are the items of want that have has not, or has otherwise.
func differing[T any](kind string, have, want []T, name func(*T) string, put func(T) func(*api.StateChange)) (items []item) {
	is := map[string]string{}
	for i := range have {
		is[name(&have[i])] = likeness(have[i])
	}
	for i := range want {
		if n := name(&want[i]); is[n] != likeness(want[i]) {
			items = append(items, item{kind + " " + n, put(want[i]), want[i]})
		}
	}
	return items
}

// likeness is a thing as JSON, without who states it.
func likeness(v any) string {
	switch t := v.(type) {
	case api.StateSegment:
		t.Source = ""
		v = t
	case api.StatePeer:
		t.Source = ""
		v = t
	case api.StateEndpoint:
		t.Source, t.Port = "", ""
		v = t
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// send states items, as many at once as can be, with deletions of endpoints in the
// first change, and those that have arrived; ok tells whether those were carried out. What the switch refuses is
// found by halves, and is left out by itself.
func (a *Agent) send(ctx context.Context, items []item, remove, arrived []string) (ok bool) {
	now := time.Now()
	items = slices.DeleteFunc(items, func(i item) bool {
		r, was := a.refused[i.key]
		if was && r.what == likeness(i.as) && now.Before(r.again) {
			r.seen = now
			a.refused[i.key] = r
			return true
		}
		return false
	})
	if len(items)+len(remove)+len(arrived) == 0 {
		return true
	}
	ok = true
	if len(items)+len(remove) > maxChange { // those that go may have what others are to get
		for some := range slices.Chunk(remove, maxChange) {
			ok = a.post(ctx, &api.StateChange{RemoveEndpoints: some}) == nil && ok
		}
		remove = nil
	}
	first := true
	for some := range chunks(items) {
		if first {
			ok = a.sendSome(ctx, some, remove, arrived) && ok
			first = false
			continue
		}
		a.sendSome(ctx, some, nil, nil)
	}
	return ok
}

// chunks are the items, so many at a time, and once with none if there are none.
func chunks(items []item) func(func([]item) bool) {
	if len(items) == 0 {
		return func(yield func([]item) bool) { yield(nil) }
	}
	return slices.Chunk(items, maxChange)
}

// sendSome sends one change, or its halves if it is refused.
func (a *Agent) sendSome(ctx context.Context, items []item, remove, arrived []string) bool {
	c := &api.StateChange{RemoveEndpoints: remove, Arrived: arrived}
	for _, i := range items {
		i.put(c)
	}
	err := a.post(ctx, c)
	if err == nil {
		for _, i := range items {
			delete(a.refused, i.key)
		}
		a.arrived = a.arrived[len(arrived):]
		return true
	}
	var refused *api.Error
	if !errors.As(err, &refused) {
		return false // the switch is away: the next turn begins again
	}
	switch {
	case len(remove)+len(arrived) > 0 && len(items) > 0: // by itself it contradicts nobody
		ok := a.sendSome(ctx, nil, remove, arrived)
		a.sendSome(ctx, items, nil, nil)
		return ok
	case len(items) > 1:
		a.sendSome(ctx, items[:len(items)/2], nil, nil)
		a.sendSome(ctx, items[len(items)/2:], nil, nil)
	case len(items) == 1:
		i := items[0]
		a.refused[i.key] = refusal{likeness(i.as), refused.Message, time.Now().Add(retryAfter), time.Now()}
	}
	return len(remove)+len(arrived) == 0
}

func (a *Agent) post(ctx context.Context, c *api.StateChange) error {
	c.Source = Source
	return a.call(ctx, "/v1/state", c, new(api.Done))
}

// noteUnfit has nothing more be said of segments that the switch refuses: what is
// in them could only be refused, too.
func (a *Agent) noteUnfit(wanted []api.StateSegment) {
	for i := range wanted {
		if _, is := a.refused["segment "+wanted[i].Name]; is {
			a.world.Unfit[wanted[i].Name] = true
			a.stepped = time.Time{}
		}
	}
	for name := range a.world.Unfit {
		r, is := a.refused["segment "+name]
		if !is || time.Now().After(r.again) {
			delete(a.world.Unfit, name)
			delete(a.refused, "segment "+name)
		}
	}
}

// drop takes back peers and segments that nothing needs any more.
func (a *Agent) drop(ctx context.Context, segments []api.StateSegment, peers []api.StatePeer, endpoints []api.StateEndpoint, out *world.Result) {
	c := &api.StateChange{}
	used := map[string]bool{}
	for i := range endpoints {
		used["peer "+endpoints[i].Peer], used["segment "+endpoints[i].Segment] = true, true
	}
	for _, n := range missing(peers, out.Peers, func(p *api.StatePeer) string { return p.Name }) {
		if !used["peer "+n] {
			c.RemovePeers = append(c.RemovePeers, n)
		}
	}
	for _, n := range missing(segments, out.Segments, func(s *api.StateSegment) string { return s.Name }) {
		if !used["segment "+n] && !a.world.Unfit[n] {
			c.RemoveSegments = append(c.RemoveSegments, n)
		}
	}
	if len(c.RemovePeers)+len(c.RemoveSegments) == 0 {
		return
	}
	if err := a.post(ctx, c); err != nil {
		a.refused["overlay"] = refusal{"", fmt.Sprintf("peers %v and segments %v cannot go: %v", c.RemovePeers, c.RemoveSegments, err), time.Now(), time.Now()}
	}
}

// refusals says what the switch refuses, and forgets what nobody wants any more.
func (a *Agent) refusals() (alarms []string) {
	for key, r := range a.refused {
		if time.Since(r.seen) > 2*retryAfter {
			delete(a.refused, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.refused)) {
		alarms = append(alarms, fmt.Sprintf("the switch refuses %s: %s", key, a.refused[key].why))
	}
	return alarms
}
