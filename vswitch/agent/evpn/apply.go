package evpn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"bulkhead/vswitch/control/api"
)

// refusal is something that the switch refused: it is not tried again before a time,
// unless it has become another.
type refusal struct {
	what, why string
	again     time.Time
}

// item is a peer or an endpoint to state.
type item struct {
	key, what string // what it is, and all of it as JSON
	put       func(*api.StateChange)
}

// maxChange is the most items of one change, so that it stays under the bound on a
// request.
const maxChange = 1000

// apply makes what the switch has of this source what is to be: peers first, then
// endpoints, of which those that go make room for those that come; then the peers that
// nobody needs any more.
func (a *Agent) apply(ctx context.Context, now time.Time, out *Result) (alarms []string) {
	hadPeers, had := map[string]string{}, map[string]string{}
	for _, p := range a.state.Peers {
		if p.Source == Source {
			p.Source = ""
			slices.Sort(p.Segments)
			hadPeers[p.Name] = likeness(p)
		}
	}
	for _, e := range a.state.Stated {
		if e.Source == Source {
			e.Source, e.Port = "", ""
			had[e.Name] = likeness(e)
		}
	}
	var peers, endpoints []item
	wantPeers, want := map[string]bool{}, map[string]bool{}
	for _, p := range out.Peers {
		wantPeers[p.Name] = true
		if what := likeness(p); hadPeers[p.Name] != what {
			peers = append(peers, item{"peer " + p.Name, what, func(c *api.StateChange) { c.Peers = append(c.Peers, p) }})
		}
	}
	for _, e := range out.Endpoints {
		want[e.Name] = true
		if what := likeness(e); had[e.Name] != what {
			endpoints = append(endpoints, item{"endpoint " + e.Name, what, func(c *api.StateChange) { c.Endpoints = append(c.Endpoints, e) }})
		}
	}
	a.send(ctx, now, peers)
	gone := missing(had, want)
	for some := range slices.Chunk(gone, maxChange) {
		_ = a.post(ctx, &api.StateChange{RemoveEndpoints: some}) // the next turn begins again
	}
	a.send(ctx, now, endpoints)
	if gone := missing(hadPeers, wantPeers); len(gone) > 0 {
		if err := a.post(ctx, &api.StateChange{RemovePeers: gone}); err != nil {
			alarms = append(alarms, fmt.Sprintf("peers %v cannot go: %v", gone, err))
		}
	}
	return append(alarms, a.refusals(now)...)
}

func likeness(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// missing are the names that were and are not wanted.
func missing(had map[string]string, want map[string]bool) (gone []string) {
	for name := range had {
		if !want[name] {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone
}

// send states items, as many at once as can be, but not what was refused.
func (a *Agent) send(ctx context.Context, now time.Time, items []item) {
	items = slices.DeleteFunc(items, func(i item) bool {
		r, was := a.refused[i.key]
		return was && r.what == i.what && now.Before(r.again)
	})
	for some := range slices.Chunk(items, maxChange) {
		a.halves(ctx, now, some)
	}
}

// halves states items; what the switch refuses is found by halves, and left out by
// itself.
func (a *Agent) halves(ctx context.Context, now time.Time, items []item) {
	c := &api.StateChange{}
	for _, i := range items {
		i.put(c)
	}
	err := a.post(ctx, c)
	var refused *api.Error
	switch {
	case err == nil:
		for _, i := range items {
			delete(a.refused, i.key)
		}
	case !errors.As(err, &refused): // the switch is away: the next turn begins again
	case len(items) > 1:
		a.halves(ctx, now, items[:len(items)/2])
		a.halves(ctx, now, items[len(items)/2:])
	default:
		a.refused[items[0].key] = refusal{items[0].what, refused.Message, now.Add(retryAfter)}
	}
}

func (a *Agent) post(ctx context.Context, c *api.StateChange) error {
	c.Source = Source
	a.state = nil // it is another now: read anew
	return a.call(ctx, "/v1/state", c, new(api.Done))
}

// refusals says what the switch refuses, and forgets what nobody has wanted since.
func (a *Agent) refusals(now time.Time) (alarms []string) {
	for key, r := range a.refused {
		if now.Sub(r.again) > retryAfter {
			delete(a.refused, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.refused)) {
		alarms = append(alarms, fmt.Sprintf("the switch refuses %s: %s", key, a.refused[key].why))
	}
	return alarms
}
