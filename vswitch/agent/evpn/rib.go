package evpn

import (
	"net/netip"
	"time"
)

// A neighbour that is lost has taken nothing back. What it said last is kept for
// Config.Keep, as stale. When it is there again it says everything anew; what it has
// not said when it is through (RFC 4724 2, end of RIB) is gone, unless it never tells
// that it is through: then it has throughTime.
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
	up, through bool
	told        bool // it was through since the start
	since       time.Time
	fresh       []Route // said now
	stale       []Route // said by a session before this one
}

func newRib(now time.Time, cfg *Config) *rib {
	r := &rib{keep: cfg.Keep, start: now, sides: map[netip.Addr]*side{}}
	for i := range cfg.Neighbours {
		r.sides[cfg.Neighbours[i].Address] = &side{since: now}
	}
	return r
}

// take takes in how it goes with a neighbour.
func (r *rib) take(now time.Time, st *Status) {
	s := r.sides[st.Address]
	if s == nil {
		return
	}
	switch {
	case s.up && (!st.Up || !st.Since.Equal(s.since)): // lost, and perhaps there again
		s.stale, s.fresh, s.since = append(s.fresh, s.missing()...), nil, now
		s.up, s.through = false, false
	case !s.up && !st.Up && now.Sub(s.since) > r.keep:
		s.stale = nil
	}
	if !st.Up {
		return
	}
	s.up, s.since, s.fresh = true, st.Since, st.Routes
	if st.Through || now.Sub(st.Since) > throughTime {
		s.through, s.told, s.stale = true, true, nil
	}
}

// missing are the stale routes that have not been said anew.
func (s *side) missing() (list []Route) {
	said := map[string]bool{}
	for i := range s.fresh {
		said[s.fresh[i].Key()] = true
	}
	for i := range s.stale {
		if !said[s.stale[i].Key()] {
			list = append(list, s.stale[i])
		}
	}
	return list
}

// heard is all that counts now; settled tells whether all neighbours have said what
// they have, or have been away too long to wait for.
func (r *rib) heard(now time.Time) (all []Heard, settled bool) {
	settled = true
	for from, s := range r.sides {
		for i := range s.fresh {
			all = append(all, Heard{s.fresh[i], from, false})
		}
		for _, route := range s.missing() {
			all = append(all, Heard{route, from, true})
		}
		settled = settled && (s.told || now.Sub(r.start) > r.keep)
	}
	return all, settled
}
