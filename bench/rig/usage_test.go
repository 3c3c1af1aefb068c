package rig

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestProcFileIsRead(t *testing.T) {
	if kib, err := pss("Rss: 7 kB\nPss:            1234 kB\nPss_Dirty: 5 kB\n"); err != nil || kib != 1234 {
		t.Errorf("%d, %v", kib, err)
	}
	if _, err := pss("Rss: 7 kB\n"); err == nil {
		t.Error("found what is not there")
	}
}

// The clock of a process is the one that the kernel gives out as its own to it.
func TestCPUTimeIsTheProcesss(t *testing.T) {
	own := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	before := own()
	d, err := cpuTime(os.Getpid())
	if after := own(); err != nil || d < before || d > after {
		t.Errorf("%v is not between %v and %v: %v", d, before, after, err)
	}
	if _, err := cpuTime(1 << 22); err == nil {
		t.Error("a process that is not there has a clock")
	}
}

// A program that works is told from one that sleeps, and both have memory.
func TestUsage(t *testing.T) {
	r := newRig(t)
	if err := r.Service(Service{Command: []string{"sleep", "60"}, Ready: func(string) bool { return true }}); err != nil {
		t.Fatal(err)
	}
	idle, err := r.Usage()
	for range 100 { // until it is the program, and not what starts it
		if err != nil || idle.Memory >= 10<<10 {
			break
		}
		time.Sleep(20 * time.Millisecond)
		idle, err = r.Usage()
	}
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
