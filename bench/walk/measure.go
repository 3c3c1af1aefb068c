package walk

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"bulkhead/bench/clock"
	"bulkhead/bench/report"
	"bulkhead/dataplane/packet"
)

// Options are how to measure.
type Options struct {
	Rounds   int
	For      time.Duration // a round of all cases together
	Seed     uint64
	Progress func(string)
}

// Measure runs every case in every round, and returns ns a frame.
func Measure(ctx context.Context, cases []Case, o Options) ([]report.Figure, error) {
	rigs, err := open(ctx, cases, o)
	defer func() {
		for _, r := range rigs {
			r.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	figures := make([]report.Figure, len(cases))
	for i, c := range cases {
		figures[i] = report.Figure{Scenario: "walk", Case: c.Name(), Subject: "bulkhead", Unit: "ns/frame", Better: report.Lower, Note: "dataplane.Run in memory, CPU time of one thread, policy on, established sessions in random order"}
	}
	for round := range o.Rounds {
		for i, c := range cases {
			o.Progress(fmt.Sprintf("walk: %s, round %d of %d", c.Name(), round+1, o.Rounds))
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r := rigs[c.Sessions]
			r.Load(c.IMIX)
			ns, frames, err := r.time(o.For / time.Duration(len(cases)))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name(), err)
			}
			figures[i].Add(report.Value{Value: ns, Samples: frames})
		}
	}
	return figures, nil
}

// open makes the rigs of the cases, one for each number of sessions.
func open(ctx context.Context, cases []Case, o Options) (map[int]*Rig, error) {
	rigs := map[int]*Rig{}
	for _, c := range cases {
		if rigs[c.Sessions] != nil {
			continue
		}
		o.Progress(fmt.Sprintf("walk: opening %d sessions", c.Sessions))
		if err := ctx.Err(); err != nil {
			return rigs, err
		}
		r, err := NewRig(c.Sessions, o.Seed)
		if err != nil {
			return rigs, fmt.Errorf("%s: %w", c.Name(), err)
		}
		rigs[c.Sessions] = r
	}
	return rigs, nil
}

// warmUp is how many batches are not timed.
const warmUp = 200

// time returns ns of CPU time a frame, over at least the duration, and of how
// many frames. The thread's own clock stands still while another program has
// its CPU.
func (r *Rig) time(each time.Duration) (ns float64, frames int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range warmUp {
		r.Batch()
	}
	start, err := clock.Thread()
	if err != nil {
		return 0, 0, err
	}
	for took := time.Duration(0); took < each; {
		for range 100 {
			n := r.Batch()
			if n != packet.BatchSize {
				return 0, 0, fmt.Errorf("%d of %d frames were sent on", n, packet.BatchSize)
			}
			frames += n
		}
		now, err := clock.Thread()
		if err != nil {
			return 0, 0, err
		}
		took = now - start
		ns = float64(took.Nanoseconds()) / float64(frames)
	}
	return ns, frames, nil
}
