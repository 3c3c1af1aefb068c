// Package clock tells how long a thread has had a CPU: on a shared machine that
// is what a loop costs, whoever else runs.
package clock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Thread is how long the calling thread has had a CPU. The caller is locked to
// its thread.
func Thread() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("clock of the thread: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
