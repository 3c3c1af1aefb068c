package vswitch

import (
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// F10, the clock is set: by ten years, forwards and back, again and again, while
// thousands of sessions are open. None ends early and none stays longer than a second
// (UDP without an answer: 30 s): sessions go by a clock that nobody sets. Rules with
// times go by the wall's, within a second of its being set.
func TestFaultClock(t *testing.T) {
	sessions, jumps := 400, 6
	if os.Getenv("BULKHEAD_LONG") != "" {
		sessions, jumps = 3000, 40
	}
	synctest.Test(t, func(t *testing.T) { clockJumps(t, sessions, jumps) })
}

func clockJumps(t *testing.T, sessions, jumps int) {
	s := newSim(2, io.Discard)
	s.depth, s.limits = 64, "sessions = 65536\nsessions_per_port = 16384\nembryonic_per_port = 8192"
	defer s.stops()
	now := time.Now()
	p := s.allowsAll(1)
	p.rules = append(p.rules, simRule{deny: true, ports: []string{"udp/54"}, since: now.Add(-time.Hour).Truncate(time.Second), till: now.Add(time.Hour).Truncate(time.Second)})
	data, err := p.artifact()
	if err != nil {
		t.Fatal(err)
	}
	s.disk.put(simPolicyFile, data)
	if err := s.starts(); err != nil {
		t.Fatal(err)
	}
	s.adds(0, 0) // e1 on p0
	s.adds(1, 1) // e2 on p1
	open := func() int {
		t.Helper()
		s.passes(idleWait) // whatever has ended is let go of
		status, err := s.sw.Control("", nil).Status()
		if err != nil {
			t.Fatal(err)
		}
		return int(status.Sessions)
	}
	begun := time.Now()
	for range sessions {
		s.send("a new flow", "p0", s.frame(1, 2, s.fresh(2)), true)
	}
	early, wrongTimes := 0, 0
	for i := range jumps {
		s.offset.Store(int64([]time.Duration{10, -10, 0}[i%3] * 365 * 24 * time.Hour))
		s.passes(lookEvery / 2)
		early = max(early, sessions-open())
		s.offset.Store(0)
		s.passes(28 * time.Second / time.Duration(jumps) / 2)
	}
	for i := range 4 { // udp/54 is denied now, and allowed ten years from now
		s.offset.Store(int64(time.Duration(i%2) * 10 * 365 * 24 * time.Hour))
		s.passes(lookEvery + 10*time.Millisecond)
		before := s.counts["delivered"]
		s.send("a rule with times", "p0", s.frame(1, 2, s.fresh(3)), true)
		if came := s.counts["delivered"] > before; came != (i%2 == 1) {
			wrongTimes++
		}
	}
	s.passes(32*time.Second - min(time.Since(begun), 32*time.Second))
	late := open() - 4 // those of the rule with times may be open
	row := FaultRow{
		ID: "F10", What: "the clock is set by ten years", Events: jumps + 4, Sent: s.counts["sent"], Lost: 0, Leaked: wrongTimes,
		Figures: fmt.Sprintf("of %d sessions %d ended early, %d a second late", sessions, early, max(late, 0)),
	}
	FaultRows = append(FaultRows, row)
	if early > 0 || late > 0 || wrongTimes > 0 || len(s.wrongs) > 0 {
		t.Errorf("%+v: %q", row, s.wrongs)
	}
}
