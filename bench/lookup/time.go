package lookup

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"bulkhead/bench/classbench"
	"bulkhead/bench/clock"
	"bulkhead/bench/report"
)

// Options are how to time.
type Options struct {
	Rounds   int
	For      time.Duration // each way of asking in a round; at least once through the trace
	Progress func(string)
}

// The ways of asking.
const (
	Single  = "one at a time"
	Batched = "in batches of 64"
)

// Time asks the whole trace again and again, alone and in batches by turns. The
// answers are added up and held against those known: so none is left out by
// the compiler, and a race between table and time would be seen.
func (s *Set) Time(ctx context.Context, trace []classbench.Header, known []int32, o Options) (single, batched report.Figure, err error) {
	figure := func(way string) report.Figure {
		return report.Figure{Scenario: "classify", Case: way, Subject: "bulkhead", Unit: "ns/packet", Better: report.Lower,
			Note: "two addresses to identities and the policy, CPU time of one thread, the trace from end to end"}
	}
	single, batched = figure(Single), figure(Batched)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	want, parsed := sum(known), Parse(trace)
	for round := range o.Rounds {
		for _, way := range []struct {
			to  *report.Figure
			ask func(Parsed) int64
		}{{&single, s.all}, {&batched, s.allInBatches}} {
			o.Progress(fmt.Sprintf("classify: %s, round %d of %d", way.to.Case, round+1, o.Rounds))
			ns, n, err := pass(ctx, parsed, way.ask, want, o.For)
			if err != nil {
				return single, batched, fmt.Errorf("%s: %w", way.to.Case, err)
			}
			way.to.Add(report.Value{Value: ns, Samples: n})
		}
	}
	return single, batched, nil
}

// pass goes through the trace until the time is over; once before without the
// clock.
func pass(ctx context.Context, trace Parsed, ask func(Parsed) int64, want int64, d time.Duration) (ns float64, n int, err error) {
	ask(trace)
	start, err := clock.Thread()
	for took := time.Duration(0); err == nil && (n == 0 || took < d); {
		if err = ctx.Err(); err != nil {
			break
		}
		if got := ask(trace); got != want {
			return 0, 0, fmt.Errorf("the answers of a timed pass add up to %d, those before to %d", got, want)
		}
		n += trace.Len()
		var now time.Duration
		now, err = clock.Thread()
		took = now - start
		ns = float64(took.Nanoseconds()) / float64(n)
	}
	return ns, n, err
}

func (s *Set) all(trace Parsed) (total int64) {
	for i := range trace.Headers {
		total += int64(s.Ask(&trace, i))
	}
	return total
}

func (s *Set) allInBatches(trace Parsed) (total int64) {
	var out [Batch]int32
	for at := 0; at < trace.Len(); at += Batch {
		part := trace.part(at, Batch)
		s.AskBatch(part, out[:part.Len()])
		total += sum(out[:part.Len()])
	}
	return total
}

func sum(answers []int32) (total int64) {
	for _, a := range answers {
		total += int64(a)
	}
	return total
}
