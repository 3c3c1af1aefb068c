package walk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"

	"bulkhead/bench/clock"
	"bulkhead/bench/report"
	"bulkhead/dataplane"
	"bulkhead/dataplane/packet"
)

// opened is how many sessions a round of a set-up measurement opens, from an
// empty table.
const opened = 1 << 18

// MeasureSetup opens sessions, each by the SYN of a connection of its own, and
// returns how many a second: parsing, identities, the policy's tables, a new
// session, and forwarding.
func MeasureSetup(ctx context.Context, o Options) ([]report.Figure, error) {
	snapshot, err := newSnapshot(twoRules)
	if err != nil {
		return nil, err
	}
	f := report.Figure{Scenario: "setup", Case: "sessions set up", Subject: "bulkhead", Unit: "M/s", Better: report.Higher,
		Note: fmt.Sprintf("dataplane.Run in memory, CPU time of one thread, the SYNs of %d connections into an empty table", opened)}
	for round := range o.Rounds {
		o.Progress(fmt.Sprintf("setup: round %d of %d", round+1, o.Rounds))
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ns, err := firstPackets(snapshot, opened, o.Seed)
		if err != nil {
			return nil, err
		}
		f.Add(report.Value{Value: 1e3 / ns, Samples: opened})
	}
	return []report.Figure{f}, nil
}

// firstPackets sends the SYNs of n connections, in random order, and returns ns
// of CPU time of each. Every one must be let through.
func firstPackets(snapshot *dataplane.Snapshot, n int, seed uint64) (ns float64, err error) {
	state, err := newState(uint32(2*n+64), 1)
	if err != nil {
		return 0, err
	}
	r := &Rig{worker: dataplane.NewWorker(state, 0, 1), snapshot: snapshot, now: 1e9}
	defer r.Close()
	if r.load, err = newLoadOf(short, packet.Spec{TCPFlags: packet.TCPSyn, Seq: 999}); err != nil {
		return 0, err
	}
	for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(n) {
		r.keys = append(r.keys, key(i))
		r.order = append(r.order, uint32(len(r.keys)-1))
	}
	r.lineUp()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start, err := clock.Thread()
	if err != nil {
		return 0, err
	}
	frames := 0
	for frames+packet.BatchSize <= n {
		if sent := r.Batch(); sent != packet.BatchSize {
			return 0, fmt.Errorf("%d of %d first packets were sent on", sent, packet.BatchSize)
		}
		frames += packet.BatchSize
	}
	end, err := clock.Thread()
	return float64((end - start).Nanoseconds()) / float64(frames), err
}
