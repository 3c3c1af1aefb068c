package walk

import (
	"fmt"

	"bulkhead/dataplane"
)

// NewRigs makes a switch of several workers that share the sessions, a rig for
// each; every rig may be driven by a goroutine of its own. The first one's
// Close frees the tables.
func NewRigs(workers, sessions int, seed uint64) ([]*Rig, error) {
	first, err := NewRig(1, seed) // for its snapshot
	if err != nil {
		return nil, err
	}
	first.Close()
	room := uint32(2*sessions + 64*workers)
	state, err := newState(room, workers)
	if err != nil {
		return nil, err
	}
	rigs := make([]*Rig, workers)
	for i := range rigs {
		rigs[i] = &Rig{worker: dataplane.NewWorker(state, i, workers), snapshot: first.snapshot, now: 1e9}
		rigs[i].draw(sessions, seed+uint64(i))
		if err := rigs[i].open(); err != nil {
			rigs[0].Close()
			return nil, fmt.Errorf("worker %d: %w", i, err)
		}
	}
	return rigs, nil
}
