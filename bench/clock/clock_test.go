package clock

import (
	"runtime"
	"testing"
	"time"
)

// The clock runs while the thread does and stands while it sleeps.
func TestThreadStandsWhileItSleeps(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	read := func() time.Duration {
		d, err := Thread()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := read()
	time.Sleep(50 * time.Millisecond)
	if slept := read() - before; slept > 25*time.Millisecond {
		t.Errorf("%v of CPU time in a sleep of 50 ms", slept)
	}
	before = read()
	for start := time.Now(); time.Since(start) < 5*time.Millisecond; {
	}
	if read() == before {
		t.Error("the clock stood while the thread ran")
	}
}
