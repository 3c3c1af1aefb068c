package run

import (
	"testing"
	"time"

	"bulkhead/bench/scenario"
)

// The time left is the estimate at first, and then the estimate at the pace
// that was seen.
func TestTimeLeft(t *testing.T) {
	begin := time.Now()
	p := &plan{begin: begin, left: 100 * time.Second}
	if got := p.said("x", begin); got != "x; about 2 min left" {
		t.Error(got)
	}
	p.step(5 * time.Second)
	if got := p.remaining(begin.Add(time.Hour)); got != 95*time.Second {
		t.Errorf("%v after one step", got)
	}
	p.step(45 * time.Second)
	if got := p.remaining(begin.Add(100 * time.Second)); got != 100*time.Second {
		t.Errorf("%v at half the pace, want 100 s", got)
	}
	p.step(60 * time.Second)
	if got := p.said("x", begin.Add(100*time.Second)); got != "x; about 1 s left" {
		t.Errorf("%s beyond the estimate", got)
	}
}

// All scenarios, as they stand, are planned for less than half an hour.
func TestAllTakesHalfAnHourAtTheMost(t *testing.T) {
	p := newPlan(scenario.All(), Options{Rounds: 5, For: time.Second})
	t.Logf("%v", p.left)
	if p.left > 27*time.Minute || p.left < 10*time.Minute {
		t.Errorf("planned for %v", p.left)
	}
}
