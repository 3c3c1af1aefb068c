package scenario

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/bench/report"
	"bulkhead/bench/traffic"
)

// Every row can be run: the first subject is the switch, and where traffic
// crosses it the kernel's own and Open vSwitch are beside it.
func TestRows(t *testing.T) {
	for _, s := range All() {
		if s.About == "" {
			t.Errorf("%s tells nothing", s.Name)
		}
		if found, ok := Find(All(), s.Name); !ok || found.About != s.About {
			t.Errorf("%s is not found", s.Name)
		}
		if s.Lasts(time.Second) < time.Second || s.Lasts(time.Second) > time.Minute {
			t.Errorf("%s lasts %v for a second each", s.Name, s.Lasts(time.Second))
		}
		if s.Kind.InMemory() {
			continue
		}
		if !strings.HasPrefix(s.Subjects[0], "bulkhead-") {
			t.Errorf("%s: subjects %v", s.Name, s.Subjects)
		}
		for _, peer := range []string{"bridge", "nftables"} {
			crosses := strings.HasPrefix(s.Name, "tap-") || strings.HasPrefix(s.Name, "xdp-") || strings.HasPrefix(s.Name, "packet-")
			if crosses && s.Kind != LossFree && !slices.Contains(s.Subjects, peer) {
				t.Errorf("%s: %s is not among %v", s.Name, peer, s.Subjects)
			}
		}
	}
	if _, ok := Find(All(), "tap"); ok {
		t.Error("found a scenario by half its name")
	}
}

// The files of scenarios that the documentation has are as it says.
func TestDocumentedFiles(t *testing.T) {
	files, err := filepath.Glob("../../docs/bench/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file, string(text)); err != nil {
			t.Error(err)
		}
	}
}

// Mistakes of a file are told, all of them, by scenario.
func TestReadRefuses(t *testing.T) {
	if _, err := Read("f.toml", ""); err == nil || !strings.Contains(err.Error(), "no [[scenarios]] in it") {
		t.Errorf("%v", err)
	}
	for keys, says := range map[string]string{
		`kind="tcp"; subjects=["bridge"]`:                 "tcp, which needs flows",
		`kind="tcp"; subjects=["bridge"]; flows=[0]`:      "flows are 1 to 64",
		`kind="tcp"; subjects=["brigde"]; flows=[1]`:      `no peer is called "brigde"`,
		`kind="frames"; subjects=["bridge"]; frames=[63]`: "frames are 64 to 1518",
		`kind="udp"; subjects=["bridge"]; frames=[0]`:     "udp has frames of one size",
		`kind="echo"; subjects=["bridge"]; frames=[64]`:   "frames are for udp",
		`kind="walk"; subjects=["bridge"]`:                "in memory and has no subjects",
		`kind="policies"`:                                 "sizes are for policies, which need some",
		`kind="policies"; sizes=[1]`:                      "sizes are 2 to",
		`kind="memory"; subjects=["bulkhead-tap"]`:        "sessions are for memory, which needs some",
		`kind="idle"; subjects=["bridge"]; sessions=1`:    "sessions are for memory",
		`kind="memory"; subjects=["bridge"]; sessions=-1`: "sessions are 1 to",
		`kind="nothing"`:                                  `kind "nothing"; one of walk`,
		`kind="walk"; speed=3`:                            "no such key: scenarios.speed",
	} {
		text := "[[scenarios]]\nname = \"a\"\n" + strings.ReplaceAll(keys, "; ", "\n")
		if _, err := Read("f.toml", text); err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "f.toml: ") {
			t.Errorf("%s: %v", keys, err)
		}
	}
	twice := "[[scenarios]]\nname = \"a\"\nkind = \"walk\"\n"
	if _, err := Read("f.toml", twice+twice); err == nil || !strings.Contains(err.Error(), `scenario 2: the name "a" is none, or taken`) {
		t.Errorf("%v", err)
	}
}

func TestMeasureRefusesWhatGoesOverNoPath(t *testing.T) {
	if _, err := (Scenario{Name: "walk", Kind: Walk}).Measure(context.Background(), Place{}, traffic.Options{}); err == nil {
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
