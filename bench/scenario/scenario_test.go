package scenario

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/bench/peers"
	"bulkhead/bench/report"
	"bulkhead/bench/traffic"
)

// Every row can be run: its kind is measured, its subjects are peers, the first
// is the switch, and the kernel's own are beside it.
func TestRowsCanBeRun(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range All() {
		if s.Name == "" || s.Name == "all" || s.About == "" || seen[s.Name] {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
		if found, ok := Find(s.Name); !ok || found.About != s.About {
			t.Errorf("%s is not found", s.Name)
		}
		if s.Kind == Walk {
			continue
		}
		if _, known := kinds[s.Kind]; !known {
			t.Errorf("%s: kind %q is not measured", s.Name, s.Kind)
		}
		if _, err := peers.Find(s.Subjects...); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if !strings.HasPrefix(s.Subjects[0], "bulkhead-") || !slices.Contains(s.Subjects, "bridge") || !slices.Contains(s.Subjects, "nftables") {
			t.Errorf("%s: subjects %v", s.Name, s.Subjects)
		}
	}
	for _, name := range []string{"walk", "tap-tcp", "tap-pps", "tap-rtt", "xdp-tcp", "xdp-pps", "xdp-rtt"} {
		if !slices.Contains(Names(), name) {
			t.Errorf("no scenario %s", name)
		}
	}
	if _, ok := Find("tap"); ok {
		t.Error("found a scenario by half its name")
	}
}

func TestMeasureRefusesWhatGoesOverNoPath(t *testing.T) {
	if _, err := (Scenario{Name: "walk", Kind: Walk}).Measure(context.Background(), traffic.Path{}, traffic.Options{}); err == nil {
		t.Error("measured the walk over a path")
	}
}

func TestDescribeStatesWhatHasSamples(t *testing.T) {
	times := &traffic.Times{Lost: 100}
	for i := range 9900 {
		times.Sorted = append(times.Sorted, time.Duration(i+1)*time.Microsecond)
	}
	names := func(values []report.Value) (out []string) {
		for _, v := range values {
			out = append(out, v.Case)
		}
		return out
	}
	got := describe("UDP", times)
	want := []string{"UDP round trip, p50", "UDP round trip, p90", "UDP round trip, p99", "UDP round trip, p99.9", "UDP round trip, max", "UDP round trip, lost"}
	if !slices.Equal(names(got), want) {
		t.Errorf("%q, want %q", names(got), want)
	}
	if p50, lost := got[0], got[5]; p50.Value != 4950 || p50.Samples != 9900 || p50.Unit != "us" || lost.Value != 1 || lost.Unit != "%" || lost.Samples != 10_000 {
		t.Errorf("%+v %+v", p50, lost)
	}
	if tcp := names(describe("TCP", times)); slices.Contains(tcp, "TCP round trip, lost") {
		t.Errorf("a stream loses nothing: %q", tcp)
	}
}
