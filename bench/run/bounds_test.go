package run

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"bulkhead/bench/report"
	"bulkhead/bench/scenario"
)

// What the daemon may take at the most.
const (
	mostIdle    = 10.0   // ms of CPU a second, ten silent ports: 1 % of one CPU
	mostPort    = 2.0    // MiB, a silent port
	xdpRing     = 8.0    // MiB, of limits.frames: 2048 chunks of 4 KiB, which its queue has the kernel fill
	mostMemory  = 1024.0 // MiB, with 1,000 ports, 100,000 rules and 1 M sessions
	mostGrowth  = 32.0   // MiB of that, by traffic
	mostSession = 192.0  // bytes, a session with its links and its place in the index
)

// TestBounds holds the daemon to them, as vsbench measures it.
func TestBounds(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces and devices")
	}
	vswitchd := build(t)
	for kind, frames := range map[string]float64{"bulkhead-tap": 0, "bulkhead-xdp": xdpRing, "bulkhead-packet": 0} {
		r := measured(t, vswitchd, 3*time.Second, "idle", kind, kind+"-10-ports")
		ms := r.value(kind+"-10-ports", "CPU while idle")
		for range 2 { // beside other work a wake-up takes more of the CPU, never less
			if ms < mostIdle {
				break
			}
			again := measured(t, vswitchd, 3*time.Second, "idle", kind+"-10-ports")
			ms = min(ms, again.value(kind+"-10-ports", "CPU while idle"))
		}
		if ms >= mostIdle {
			t.Errorf("%s: ten silent ports take %.1f ms of CPU a second", kind, ms)
		}
		eight := r.value(kind+"-10-ports", "memory while idle") - r.value(kind, "memory while idle")
		if each := eight/8 - frames; each > mostPort {
			t.Errorf("%s: a silent port takes %.2f MiB", kind, each)
		}
	}
	const full, two = "bulkhead-tap-1000-ports", "bulkhead-tap-1m-sessions"
	r := measured(t, vswitchd, time.Second, "memory", full, two)
	for _, subject := range []string{full, two} {
		before, after := r.value(subject, "memory with its sessions"), r.value(subject, "memory after traffic")
		if after > mostMemory || after-before > mostGrowth || r.value(subject, "open sessions") < 1e6 {
			t.Errorf("%s: %.0f MiB with its sessions, %.0f after traffic", subject, before, after)
		}
	}
	sessions := r.value(two, "memory with its sessions") - r.value(two, "memory at the start")
	if each := sessions * (1 << 20) / 1e6; each > mostSession {
		t.Errorf("a session takes %.0f bytes", each)
	}
}

// found is a report that is asked for single figures.
type found struct {
	*testing.T
	report.Report
}

// measured runs a scenario once, with some of its subjects.
func measured(t *testing.T, vswitchd string, length time.Duration, name string, subjects ...string) found {
	o := Options{Rounds: 1, For: length, Seed: 1, VSwitchd: vswitchd, Progress: quiet}
	r := found{T: t}
	sc, _ := scenario.Find(scenario.All(), name)
	sc.Subjects = subjects
	if err := All(context.Background(), []scenario.Scenario{sc}, o, &r.Report); err != nil || r.Failures != nil || r.Remarks != nil {
		t.Fatalf("%s: %v; %q; %q", name, err, r.Failures, r.Remarks)
	}
	return r
}

func (r found) value(subject, name string) float64 {
	r.Helper()
	at := slices.IndexFunc(r.Figures, func(f report.Figure) bool { return f.Subject == subject && f.Case == name })
	if at < 0 {
		r.Fatalf("%s: no figure %q", subject, name)
	}
	v := r.Figures[at].Median()
	r.Logf("%s: %s: %.2f %s", subject, name, v, r.Figures[at].Unit)
	return v
}
