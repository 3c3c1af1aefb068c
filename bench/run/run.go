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
	"slices"
	"strings"
	"time"

	"bulkhead/bench/classbench"
	"bulkhead/bench/lookup"
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
// written down there as a failure, and the next goes on; a peer that cannot run
// is left out, and a remark says why; an interrupt ends the run, and is the only
// error.
func All(ctx context.Context, scenarios []scenario.Scenario, o Options, r *report.Report) error {
	p, show := newPlan(scenarios, o), o.Progress
	o.Progress = func(text string) { show(p.said(text, time.Now())) }
	asked := o.Rounds
	for _, sc := range scenarios {
		o.Rounds = sc.Kind.Rounds(asked)
		end := p.left - takes(sc, o)
		figures, remarks, err := one(ctx, sc, o, p)
		p.step(p.left - end) // what was left out is not to be done any more
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %w", errors.Join(ctx.Err(), err))
		}
		r.Remarks = append(r.Remarks, remarks...)
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

func one(ctx context.Context, sc scenario.Scenario, o Options, p *plan) ([]report.Figure, []string, error) {
	if sc.Kind.InMemory() {
		return inMemory(ctx, sc, o)
	}
	subjects, err := peers.Find(sc.Subjects...)
	if err != nil {
		return nil, nil, err
	}
	if err := needsRoot(os.Getuid()); err != nil {
		return nil, nil, err
	}
	subjects, remarks, err := present(sc.Name, subjects, exec.LookPath)
	if err != nil {
		return nil, nil, err
	}
	if err := rig.Sweep(); err != nil {
		return nil, nil, err
	}
	figures, more, err := interleave(ctx, sc, subjects, o, func(peer peers.Peer) ([]report.Value, string, error) {
		defer p.step(subjectTakes(sc, o))
		return once(ctx, sc, peer, o)
	})
	return figures, append(remarks, more...), err
}

// inMemory measures what needs no device; the figures bear the scenario's name.
func inMemory(ctx context.Context, sc scenario.Scenario, o Options) (figures []report.Figure, remarks []string, err error) {
	w := walk.Options{Rounds: o.Rounds, For: o.For, Seed: o.Seed, Progress: o.Progress}
	switch sc.Kind {
	case scenario.Walk:
		figures, err = walk.Measure(ctx, walk.Cases(), w)
	case scenario.Setup:
		figures, err = walk.MeasureSetup(ctx, w)
	case scenario.Policies:
		figures, err = walk.MeasurePolicies(ctx, sc.Sizes, w)
	case scenario.Classify:
		sets := lookup.Sets{Dir: classbench.Dir("."), Options: lookup.Options{Rounds: o.Rounds, For: o.For, Progress: o.Progress}}
		figures, remarks, err = sets.Measure(ctx)
	}
	for i := range figures {
		figures[i].Scenario = sc.Name
	}
	return figures, remarks, err
}

// interleave measures every subject in every round. The first must run; another
// that does not is left out from then on, with what was found of it, and a
// remark tells why.
func interleave(ctx context.Context, sc scenario.Scenario, subjects []peers.Peer, o Options, once func(peers.Peer) ([]report.Value, string, error)) ([]report.Figure, []string, error) {
	var figures Figures
	var remarks []string
	out := map[string]bool{}
	for round := range o.Rounds {
		for i, p := range subjects {
			if out[p.Name] {
				continue
			}
			o.Progress(fmt.Sprintf("%s: %s, round %d of %d", sc.Name, p.Name, round+1, o.Rounds))
			values, note, err := once(p)
			if ctx.Err() != nil || err != nil && i == 0 {
				return nil, nil, fmt.Errorf("%s, round %d: %w", p.Name, round+1, errors.Join(ctx.Err(), err))
			}
			if err != nil {
				out[p.Name] = true
				figures = slices.DeleteFunc(figures, func(f report.Figure) bool { return f.Subject == p.Name })
				remarks = append(remarks, fmt.Sprintf("%s: %s is left out, it failed in round %d: %s", sc.Name, p.Name, round+1, oneLine(err)))
				continue
			}
			for _, v := range values {
				figures.Add(sc.Name, p.Name, note, v)
			}
		}
	}
	return figures, remarks, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

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
	place := scenario.Place{Path: traffic.Path{A: r.A, B: r.B, To: link.To}, Rig: r}
	values, err = sc.Measure(ctx, place, traffic.Options{For: o.For, Seed: o.Seed})
	return values, link.Note, err
}
