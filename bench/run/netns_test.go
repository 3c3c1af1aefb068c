package run

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bulkhead/bench/report"
	"bulkhead/bench/scenario"
)

// cases are what each kind of traffic tells even in a moment.
var cases = map[scenario.Kind][]string{
	scenario.TCP:      {"one flow", "8 flows"},
	scenario.UDP:      {"64 B UDP, one flow, arrived", "64 B UDP, one flow, lost"},
	scenario.Frames:   {"64 B, arrived", "1518 B, lost", "IMIX, arrived"},
	scenario.Echo:     {"TCP round trip, p50", "TCP round trip, max", "UDP round trip, p50", "UDP round trip, max", "UDP round trip, lost"},
	scenario.LossFree: {"64 B, burst without loss"},
	scenario.Idle:     {"memory while idle"},
}

// Every scenario of real traffic runs, for a moment and one round, with all its
// subjects that are installed, finds figures of each, and leaves nothing behind.
func TestEveryScenarioMeasures(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces and devices")
	}
	o := Options{Rounds: 1, For: 150 * time.Millisecond, Seed: 1, VSwitchd: build(t), Progress: quiet}
	for _, sc := range scenario.All() {
		if sc.Kind.InMemory() || sc.Kind == scenario.Memory { // TestBounds has that
			continue
		}
		t.Run(sc.Name, func(t *testing.T) {
			o := o
			if sc.Kind == scenario.TCP { // a connection may not get a CPU for as long as that
				o.For *= 3
			}
			var r report.Report
			if err := All(context.Background(), []scenario.Scenario{sc}, o, &r); err != nil || r.Failures != nil {
				t.Fatalf("%v; %q", err, r.Failures)
			}
			for _, subject := range sc.Subjects {
				if leftOut(&r, subject) {
					continue // not installed here
				}
				names := cases[sc.Kind]
				if sc.Back {
					names = append(slices.Clip(names), "one flow back", "8 flows back")
				}
				for _, name := range names {
					checkFigure(t, &r, subject, name)
				}
			}
			for _, remark := range r.Remarks {
				t.Log(remark)
			}
			if len(r.Ratios) == 0 {
				t.Error("nothing is compared")
			}
		})
	}
	leftovers(t)
}

// leftOut tells a peer that is not installed, or that carried nothing in so short
// a time: Open vSwitch's TCP stands still for a while when it loses segments.
func leftOut(r *report.Report, subject string) bool {
	return slices.ContainsFunc(r.Remarks, func(s string) bool {
		return strings.Contains(s, subject+" is left out") && (strings.Contains(s, "not found") || strings.HasPrefix(subject, "ovs-") && strings.Contains(s, "no byte arrived"))
	})
}

func checkFigure(t *testing.T, r *report.Report, subject, name string) {
	t.Helper()
	at := slices.IndexFunc(r.Figures, func(f report.Figure) bool { return f.Subject == subject && f.Case == name })
	if at < 0 {
		t.Errorf("%s: no figure %q", subject, name)
		return
	}
	f := r.Figures[at]
	v := f.Median()
	share := f.Unit == "%"
	if len(f.Rounds) != 1 || f.Note == "" || !share && v <= 0 || share && (v < 0 || v >= 100) {
		t.Errorf("%+v", f)
	}
}

// leftovers finds what this process's runs have not removed.
func leftovers(t *testing.T) {
	t.Helper()
	pid := fmt.Sprint(os.Getpid())
	for _, glob := range []string{"/run/netns/vsb" + pid + "*", "/sys/fs/bpf/bulkhead/vsb" + pid + "*", "/var/run/dpdk/vsb" + pid + "*", filepath.Join(os.TempDir(), "vsbench."+pid+".*")} {
		if left, _ := filepath.Glob(glob); left != nil {
			t.Errorf("left: %v", left)
		}
	}
	out, err := exec.Command("ps", "-o", "args=", "--ppid", pid).Output()
	if err == nil && regexp.MustCompile("vswitchd|ovsdb|testpmd|test-acl").Match(out) {
		t.Errorf("running: %s", out)
	}
}

func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vswitchd")
	cmd := exec.Command("go", "build", "-o", path, "bulkhead/vswitch/cmd/vswitchd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build vswitchd: %v\n%s", err, out)
	}
	return path
}
