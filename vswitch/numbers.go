package vswitch

import (
	"slices"

	"bulkhead/dataplane"
	"bulkhead/dataplane/fdb"
	"bulkhead/vswitch/config"
)

// What packets have made outlives a snapshot and goes by numbers: a session by
// its VRF's, a learned MAC by its segment's and its peer's. A number that came
// to mean another VRF would let an answer pass where nobody asked.

// zones are the numbers of the VRFs, from 1.
type zones struct {
	of   map[string]uint16
	last uint16 // the number given last
}

// follow returns the numbers for a configuration: a VRF that had one keeps it,
// a new one gets that least recently given.
func (z zones) follow(cfg *config.Config) zones {
	next := zones{of: map[string]uint16{}, last: z.last}
	taken := map[uint16]bool{0: true}
	for i := range cfg.Segments {
		vrf := cfg.Segments[i].VRF
		if n, had := z.of[vrf]; had {
			next.of[vrf], taken[n] = n, true
		}
	}
	for i := range cfg.Segments {
		vrf := cfg.Segments[i].VRF
		if _, has := next.of[vrf]; has {
			continue
		}
		for next.last++; taken[next.last]; next.last++ {
		}
		next.of[vrf], taken[next.last] = next.last, true
	}
	return next
}

// renumbered tells whether a number that a learned MAC may go by means another
// segment or peer in next, or none.
func renumbered(before, next *dataplane.Names) bool {
	return !begins(next.Segments, before.Segments) || !begins(next.Peers, before.Peers)
}

func begins(list, with []string) bool {
	return len(list) >= len(with) && slices.Equal(list[:len(with)], with)
}

// forgetLearned forgets every MAC that was learned and who listens to which
// group, and has no worker learn any
// before it goes by another snapshot.
func (sw *Switch) forgetLearned() {
	old := sw.live.Load()
	deaf := *old.snapshot
	deaf.Segments, deaf.Snooped = slices.Clone(deaf.Segments), nil
	for i := range deaf.Segments {
		seg := &deaf.Segments[i]
		seg.Learning, seg.FloodBroadcast = false, seg.FloodBroadcast && !seg.Snooping // nor is a group's packet given to all
		seg.Snooping = false
	}
	again := *old
	again.snapshot = &deaf
	sw.live.Store(&again)
	sw.settle()
	sw.state.FDB.Flush(func(fdb.Dest) bool { return true })
	sw.state.Groups.Flush()
}
