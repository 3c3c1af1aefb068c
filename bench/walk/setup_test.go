package walk

import (
	"context"
	"testing"
	"time"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/packet"
)

func quiet(string) {}

// Every first packet opens a session of its own: a table that holds half of
// them lets half through, and that is no measurement.
func TestFirstPacketsOpenSessions(t *testing.T) {
	snapshot, err := newSnapshot(twoRules)
	if err != nil {
		t.Fatal(err)
	}
	if ns, err := firstPackets(snapshot, 4*packet.BatchSize, 1); err != nil || ns <= 0 {
		t.Errorf("%v ns, %v", ns, err)
	}
	snapshot.Rules.Rules = nil
	if snapshot.Policy, err = classify.Link(snapshot.Rules, snapshot.Identity.AllSets()); err != nil {
		t.Fatal(err)
	}
	if _, err := firstPackets(snapshot, packet.BatchSize, 1); err == nil {
		t.Error("measured packets that no rule lets through")
	}
}

func TestMeasureSetup(t *testing.T) {
	figures, err := MeasureSetup(context.Background(), Options{Rounds: 2, Seed: 1, Progress: quiet})
	if err != nil || len(figures) != 1 || len(figures[0].Rounds) != 2 || figures[0].Min() <= 0 || figures[0].Samples != opened {
		t.Errorf("%+v, %v", figures, err)
	}
}

func TestMeasurePolicies(t *testing.T) {
	figures, err := MeasurePolicies(context.Background(), []int{2, 100}, Options{Rounds: 2, For: time.Millisecond, Seed: 1, Progress: quiet})
	if err != nil || len(figures) != 8 {
		t.Fatalf("%+v, %v", figures, err)
	}
	for i, name := range []string{"2 rules, first packets", "2 rules, established", "2 rules, link", "100 rules, first packets"} {
		if f := figures[i]; f.Case != name || len(f.Rounds) != 2 || f.Min() <= 0 {
			t.Errorf("%+v, want %s", f, name)
		}
	}
	if f := figures[7]; f.Case != "100 rules : 2 rules, established" || f.Unit != "x" || f.Rounds[1] != figures[4].Rounds[1]/figures[1].Rounds[1] {
		t.Errorf("%+v", f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := MeasurePolicies(ctx, []int{2}, Options{Rounds: 1, Progress: quiet}); err == nil {
		t.Error("went on without its context")
	}
}
