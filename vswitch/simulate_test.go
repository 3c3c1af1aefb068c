package vswitch

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bulkhead/dataplane/packet"
)

// The whole daemon, simulated: a switch of one or two workers with all that it does by
// itself, over ports in memory, on a clock and a disk of the test's own, in one process
// and without a device. A seed draws a list of steps: frames, true, spoofed and broken;
// endpoints that come, move and go; policies that are loaded, damaged, older; other
// configurations, right and wrong; devices, links, disks and clocks that fail; crashes.
// After each step everything has come to rest, and is held against a model:
//
//   - what came out of a port was sent, once, by who he says he is, from where he is,
//     to where that is, and the policy in force allows it (simulate_policy_test.go),
//     or it answers what was allowed and still is
//   - what the policy allows between two ports that are well does come out
//   - a change that is right is done, one that is wrong is refused, and what was in
//     force before stays, whatever fails
//   - the account of each port balances, and no chunk of frame memory is missing
//   - after a crash the kept generation is the old number or the new one
//   - no port is used after it was closed, closed twice, or left open
//
// A seed that fails is made short: steps are left out as long as it still fails. What is
// printed is the list that is left, and
//
//	go test ./vswitch -run TestSimulation -seed N
//
// runs it again. `make simulate D=10m` goes on drawing for that long.
var (
	simSeed  = flag.Uint64("seed", 0, "simulate this seed only")
	simFor   = flag.Duration("simulate", 0, "go on drawing seeds for this long")
	simFirst = flag.Uint64("first", 1, "the first seed to draw")
)

const simSteps = 250

var offloadNone packet.Offload

func TestSimulation(t *testing.T) {
	totals := map[string]int{}
	begun := time.Now()
	one := func(seed uint64) {
		if *simFor > 0 && seed%100 == 1 {
			fmt.Printf("seed %d, after %v: %v\n", seed, time.Since(begun).Round(time.Second), totals)
		}
		steps := drawSteps(seed, simSteps)
		if out := simulate(t, seed, steps, io.Discard); len(out.wrongs) > 0 {
			shortened(t, seed, steps)
		} else {
			for what, n := range out.counts {
				totals[what] += n
			}
		}
	}
	switch {
	case *simSeed != 0:
		one(*simSeed)
	case *simFor > 0:
		for seed := *simFirst; time.Since(begun) < *simFor && !t.Failed(); seed++ {
			one(seed)
		}
	default:
		for seed := uint64(1); seed <= 12 && !t.Failed(); seed++ {
			one(seed)
		}
		for _, what := range []string{"sent", "delivered", "loads that failed", "crash"} {
			if totals[what] == 0 {
				t.Errorf("the seeds miss what they are for: %s", what)
			}
		}
	}
	t.Logf("%v: %v", time.Since(begun).Round(time.Millisecond), totals)
}

// simulate runs a list of steps and returns the simulation as it ended: at the first
// step after which something was wrong.
func simulate(t *testing.T, seed uint64, steps []simStep, log io.Writer) (s *sim) {
	synctest.Test(t, func(*testing.T) {
		s = newSim(seed, log)
		defer s.stops()
		if err := s.starts(); err != nil {
			s.wrong("start: %v", err)
			return
		}
		s.settles()
		for _, step := range steps {
			op := &simOps[step.op]
			s.counts[op.name]++
			op.do(s, step.a, step.b)
			if s.sw != nil {
				s.books()
			}
			if len(s.wrongs) > 0 || s.sw == nil {
				return
			}
			if s.disk.dead { // the crash that a call of the disk was the last before
				s.crashes(0, 0)
			}
		}
	})
	return s
}

// shortened finds a short list that still fails, prints it and fails the test.
func shortened(t *testing.T, seed uint64, steps []simStep) {
	t.Helper()
	fails := func(list []simStep) bool { return len(simulate(t, seed, list, io.Discard).wrongs) > 0 }
	until := time.Now().Add(time.Minute)
	for size := len(steps) / 2; size > 0 && time.Now().Before(until); {
		cut := false
		for at := 0; at+size <= len(steps) && time.Now().Before(until); {
			if less := slices.Concat(steps[:at], steps[at+size:]); fails(less) {
				steps, cut = less, true
			} else {
				at += size
			}
		}
		if !cut || size > len(steps) {
			size /= 2
		}
	}
	var log bytes.Buffer
	s := simulate(t, seed, steps, &log)
	if len(s.wrongs) == 0 {
		t.Errorf("seed %d fails, but not each time; go test ./vswitch -run TestSimulation -seed %d", seed, seed)
		return
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	t.Errorf("seed %d, %d steps:\n  %s\nwrong:\n  %s\nthe switch's log:\n  %s\nthe policy: %s\nagain: go test ./vswitch -run TestSimulation -seed %d",
		seed, len(steps), strings.Join(s.did, "\n  "), strings.Join(s.wrongs, "\n  "), strings.Join(lines[max(0, len(lines)-12):], "\n  "), s.policyText(), seed)
}

func (s *sim) policyText() string {
	if s.policy == nil {
		return "none"
	}
	return fmt.Sprintf("generation %d\n%s", s.policy.generation, s.policy.text())
}
