package evpn

import (
	"net/netip"
	"slices"
	"time"
)

// A neighbour that is lost has taken nothing back. What it said last is kept for
// Config.Keep, as stale. When it is there again it says everything anew; what it has
// not said when it is through (RFC 4724 2, end of RIB) is gone, unless it never tells
// that it is through: then it has throughTime.
//
// A neighbour may be lost again before that, and again. So each stale route has its own
// Config.Keep, from when it was last said; and with what is said now there are no more
// of a neighbour than its MaxRoutes: the longest stale go first. Otherwise one that
// flaps, with other route distinguishers each time, would fill the memory.
const throughTime = 30 * time.Second

// Status is how it goes with a neighbour.
type Status struct {
	Address netip.Addr
	Up      bool
	Since   time.Time // it is so; zero: since the start
	Through bool      // it has said all that it has
	Why     string    // it is not up
	Routes  []Route   // that it says, if it is up
	Wrong   []string  // what it said that cannot be read
}

// rib is what each neighbour says, or said last.
type rib struct {
	keep  time.Duration
	start time.Time
	sides map[netip.Addr]*side
}

type side struct {
	most        int // routes, fresh and stale together
	up, through bool
	told        bool // it was through since the start
	since       time.Time
	fresh       []Route // said now; the speaker sees to it that they are not too many
	stale       []stale // said by sessions before this one and not by it; the latest first
}

// stale is a route of a session that was lost.
type stale struct {
	Route
	since time.Time // it was lost
}

func newRib(now time.Time, cfg *Config) *rib {
	r := &rib{keep: cfg.Keep, start: now, sides: map[netip.Addr]*side{}}
	for i := range cfg.Neighbours {
		r.sides[cfg.Neighbours[i].Address] = &side{most: cfg.Neighbours[i].MaxRoutes, since: now}
	}
	return r
}

// take takes in how it goes with a neighbour.
func (r *rib) take(now time.Time, st *Status) {
	s := r.sides[st.Address]
	if s == nil {
		return
	}
	if s.up && (!st.Up || !st.Since.Equal(s.since)) { // lost, and perhaps there again
		s.lose(now)
	}
	if st.Up {
		s.up, s.since, s.fresh = true, st.Since, st.Routes
		if st.Through || now.Sub(st.Since) > throughTime {
			s.through, s.told, s.stale = true, true, nil
		}
	}
	s.prune(now, r.keep)
}

// lose makes stale what a session said that is lost. None of it is among what was stale
// before: prune has seen to that.
func (s *side) lose(now time.Time) {
	list := make([]stale, 0, len(s.fresh)+len(s.stale))
	for i := range s.fresh {
		list = append(list, stale{s.fresh[i], now})
	}
	s.stale, s.fresh, s.since = append(list, s.stale...), nil, now
	s.up, s.through = false, false
}

// prune drops the stale routes that have been said anew, those that are stale for too
// long, and those for which there is no room.
func (s *side) prune(now time.Time, keep time.Duration) {
	if len(s.stale) == 0 {
		return
	}
	said := map[string]bool{}
	for i := range s.fresh {
		said[s.fresh[i].Key()] = true
	}
	s.stale = slices.DeleteFunc(s.stale, func(o stale) bool { return now.Sub(o.since) > keep || said[o.Key()] })
	if room := max(s.most-len(s.fresh), 0); len(s.stale) > room {
		s.stale = slices.Clone(s.stale[:room]) // so that the memory of the others is free
	}
}

// heard is all that counts now; settled tells whether all neighbours have said what
// they have, or have been away too long to wait for.
func (r *rib) heard(now time.Time) (all []Heard, settled bool) {
	settled = true
	for from, s := range r.sides {
		for i := range s.fresh {
			all = append(all, Heard{s.fresh[i], from, false})
		}
		for i := range s.stale {
			all = append(all, Heard{s.stale[i].Route, from, true})
		}
		settled = settled && (s.told || now.Sub(r.start) > r.keep)
	}
	return all, settled
}
