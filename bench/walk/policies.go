package walk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"bulkhead/bench/report"
)

// established is how many sessions are open where those of a policy are
// measured.
const established = 1000

// sized is the walk under a policy of so many rules, and what was found of it.
type sized struct {
	rules              int
	rig                *Rig
	first, later, link report.Figure
}

// MeasurePolicies measures the walk under policies of so many rules: first
// packets, for which the tables are asked, and those of a thousand established
// sessions, for which they are not; and how long each takes to link.
func MeasurePolicies(ctx context.Context, sizes []int, o Options) (figures []report.Figure, err error) {
	all := make([]*sized, len(sizes))
	for i, n := range sizes {
		all[i] = newSized(n)
		defer func() {
			if all[i].rig != nil {
				all[i].rig.Close()
			}
		}()
	}
	for round := range o.Rounds {
		for _, s := range all {
			o.Progress(fmt.Sprintf("policies: %d rules, round %d of %d", s.rules, round+1, o.Rounds))
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := s.round(o.For/time.Duration(len(sizes)), o.Seed); err != nil {
				return nil, fmt.Errorf("%d rules: %w", s.rules, err)
			}
		}
	}
	for _, s := range all {
		figures = append(figures, s.first, s.later, s.link)
	}
	if last := all[len(all)-1]; len(all) > 1 {
		figures = append(figures, growth(all[0], last, &all[0].first, &last.first), growth(all[0], last, &all[0].later, &last.later))
	}
	return figures, nil
}

// growth is how many times the figure of few rules that of many is, round by
// round.
func growth(few, many *sized, from, to *report.Figure) report.Figure {
	_, what, _ := strings.Cut(from.Case, ", ")
	f := report.Figure{Scenario: from.Scenario, Case: fmt.Sprintf("%d rules : %d rules, %s", many.rules, few.rules, what), Subject: from.Subject, Unit: "x", Better: report.Lower, Note: from.Note}
	for i := range from.Rounds {
		f.Add(report.Value{Value: to.Rounds[i] / from.Rounds[i]})
	}
	return f
}

func newSized(rules int) *sized {
	figure := func(what, unit string) report.Figure {
		return report.Figure{Scenario: "policies", Case: fmt.Sprintf("%d rules, %s", rules, what), Subject: "bulkhead", Unit: unit, Better: report.Lower,
			Note: "dataplane.Run in memory, CPU time of one thread, rules between a tenth as many services"}
	}
	return &sized{rules: rules, first: figure("first packets", "ns/frame"), later: figure("established", "ns/frame"), link: figure("link", "ms")}
}

// round links the policy anew, and measures under it.
func (s *sized) round(each time.Duration, seed uint64) error {
	start := time.Now()
	snapshot, err := newSnapshot(s.rules)
	if err != nil {
		return err
	}
	s.link.Add(report.Value{Value: float64(time.Since(start).Microseconds()) / 1e3})
	if s.rig == nil {
		if s.rig, err = newRig(snapshot, established, seed); err != nil {
			return err
		}
	}
	ns, err := firstPackets(snapshot, opened/4, seed)
	if err != nil {
		return err
	}
	s.first.Add(report.Value{Value: ns, Samples: opened / 4})
	ns, frames, err := s.rig.time(each)
	s.later.Add(report.Value{Value: ns, Samples: frames})
	return err
}
