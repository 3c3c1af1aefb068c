package rig

import (
	"testing"
	"time"
)

func TestProcFilesAreRead(t *testing.T) {
	stat := "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0"
	if d, err := cpuTime(stat); err != nil || d != 2*time.Second {
		t.Errorf("%v, %v", d, err)
	}
	if kib, err := pss("Rss: 7 kB\nPss:            1234 kB\nPss_Dirty: 5 kB\n"); err != nil || kib != 1234 {
		t.Errorf("%d, %v", kib, err)
	}
	for _, bad := range []string{"", "42 (a) S 1", "1 (a) S 1 2 3 4 5 6 7 8 9 10 x 50 0"} {
		if _, err := cpuTime(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
	if _, err := pss("Rss: 7 kB\n"); err == nil {
		t.Error("found what is not there")
	}
}

// A program that works is told from one that sleeps, and both have memory.
func TestUsage(t *testing.T) {
	r := newRig(t)
	if err := r.Service(Service{Command: []string{"sleep", "60"}, Ready: func(string) bool { return true }}); err != nil {
		t.Fatal(err)
	}
	idle, err := r.Usage()
	if err != nil || idle.Memory < 10<<10 {
		t.Fatalf("%+v, %v", idle, err)
	}
	if err := r.Service(Service{Command: []string{"sh", "-c", "while :; do :; done"}, Ready: func(string) bool { return true }}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(400 * time.Millisecond)
	busy, err := r.Usage()
	if err != nil || busy.CPU-idle.CPU < 30*time.Millisecond || busy.Memory < 10<<10 {
		t.Errorf("%+v after %+v, %v", busy, idle, err)
	}
}
