package agent

import (
	"time"

	"bulkhead/vswitch/control/api"
)

// Workloads go one by one, or a host's at a time. When many are to go at once it
// may be a store that was emptied, or a host of hosts that lost their leases for a
// reason of the store's. Then deletions are held back, all of them, until an
// operator accepts them (vsctl source accept agent) or they are none any more.

// Bounds of what is deleted by itself: a fourth of the endpoints in a minute, or
// leastHeld if that is more.
const (
	leastHeld  = 32
	holdShare  = 4
	holdWindow = time.Minute
)

// hold counts deletions, and holds them back.
type hold struct {
	held     map[string]bool
	accepted map[string]bool // what an operator saw when he accepted
	recent   []deletions
}

type deletions struct {
	at time.Time
	n  int
}

func (h *hold) count() int { return len(h.held) }

// accept has what is held now be carried out.
func (h *hold) accept() { h.accepted = h.held }

// filter takes the endpoints that are to go, of so many, and returns those that may.
func (h *hold) filter(now time.Time, gone []string, all int) []string {
	n := 0
	for len(h.recent) > 0 && now.Sub(h.recent[0].at) > holdWindow {
		h.recent = h.recent[1:]
	}
	for _, d := range h.recent {
		n += d.n
	}
	var may []string
	held := map[string]bool{}
	for _, name := range gone {
		if h.accepted[name] {
			may = append(may, name)
		} else {
			held[name] = true
		}
	}
	if n+len(held) <= max(leastHeld, (all+n)/holdShare) {
		may, held = gone, map[string]bool{}
	}
	h.held = held
	return may
}

// done notes deletions that were carried out without being asked about.
func (h *hold) done(now time.Time, names []string) {
	n := 0
	for _, name := range names {
		if h.accepted[name] {
			delete(h.accepted, name)
			continue
		}
		n++
	}
	if n > 0 {
		h.recent = append(h.recent, deletions{now, n})
	}
}

// keep adds to what is to be the endpoints that are held, as they are.
func (h *hold) keep(wanted, inForce []api.StateEndpoint) []api.StateEndpoint {
	for _, e := range inForce {
		if h.held[e.Name] {
			wanted = append(wanted, e)
		}
	}
	return wanted
}
