// Package run carries scenarios out: round after round, in each round every
// subject in turn (A B C A B C), each in a rig of its own, so that what the
// machine does besides hits all alike.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"bulkhead/bench/peers"
	"bulkhead/bench/report"
	"bulkhead/bench/rig"
	"bulkhead/bench/scenario"
	"bulkhead/bench/traffic"
	"bulkhead/bench/walk"
)

// Options are how to measure.
type Options struct {
	Rounds   int
	For      time.Duration // each measurement of a round
	Seed     uint64
	VSwitchd string       // path of the daemon
	Progress func(string) // is told what is under way
}

// All runs scenarios one after another into the report. One that fails is
// written down there as a failure, and the next goes on; an interrupt ends the
// run, and is the only error.
func All(ctx context.Context, scenarios []scenario.Scenario, o Options, r *report.Report) error {
	for _, sc := range scenarios {
		figures, err := one(ctx, sc, o)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %w", errors.Join(ctx.Err(), err))
		}
		if err != nil {
			r.Failures = append(r.Failures, fmt.Sprintf("%s: %v", sc.Name, err))
			continue
		}
		whole, remarks := complete(figures, o.Rounds)
		r.Figures = append(r.Figures, whole...)
		r.Ratios = append(r.Ratios, report.Ratios(whole)...)
		r.Remarks = append(r.Remarks, remarks...)
	}
	return nil
}

func one(ctx context.Context, sc scenario.Scenario, o Options) ([]report.Figure, error) {
	if sc.Kind == scenario.Walk {
		return walk.Measure(ctx, walk.Cases(), walk.Options{Rounds: o.Rounds, For: o.For, Seed: o.Seed, Progress: o.Progress})
	}
	subjects, err := peers.Find(sc.Subjects...)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(needsRoot(os.Getuid()), NeedsTools(subjects, exec.LookPath)); err != nil {
		return nil, err
	}
	if err := rig.Sweep(); err != nil {
		return nil, err
	}
	return interleave(sc, subjects, o, func(p peers.Peer) ([]report.Value, string, error) { return once(ctx, sc, p, o) })
}

// interleave measures every subject in every round.
func interleave(sc scenario.Scenario, subjects []peers.Peer, o Options, once func(peers.Peer) ([]report.Value, string, error)) ([]report.Figure, error) {
	var figures Figures
	for round := range o.Rounds {
		for _, p := range subjects {
			o.Progress(fmt.Sprintf("%s: %s, round %d of %d", sc.Name, p.Name, round+1, o.Rounds))
			values, note, err := once(p)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", p.Name, round+1, err)
			}
			for _, v := range values {
				figures.Add(sc.Name, p.Name, note, v)
			}
		}
	}
	return figures, nil
}

// once sets a subject up, measures it, and takes it down.
func once(ctx context.Context, sc scenario.Scenario, p peers.Peer, o Options) (values []report.Value, note string, err error) {
	r, err := rig.New(ctx, o.VSwitchd)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	link, err := p.Up(r)
	if err != nil {
		return nil, "", fmt.Errorf("set up: %w", err)
	}
	values, err = sc.Measure(ctx, traffic.Path{A: r.A, B: r.B, To: link.To}, traffic.Options{For: o.For, Seed: o.Seed})
	return values, link.Note, err
}
