package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what the programs of a rig have taken, all together.
type Usage struct {
	CPU    time.Duration // of all their threads, since they began
	Memory int           // bytes; what they share is counted once (PSS)
}

// Usage asks the kernel. Work that the kernel does for a program in its own
// threads is nobody's and not in it.
func (r *Rig) Usage() (u Usage, err error) {
	for _, pid := range r.programs {
		cpu, err := cpuTime(pid)
		if err != nil {
			return u, err
		}
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return u, err
		}
		kib, err := pss(string(rollup))
		if err != nil {
			return u, err
		}
		u.CPU, u.Memory = u.CPU+cpu, u.Memory+kib<<10
	}
	return u, nil
}

// cpuTime is what all threads of a process have taken, to the nanosecond:
// /proc/PID/stat counts hundredths of a second, which is more than a daemon takes
// that does nothing. The clock's number is that of clock_getcpuclockid(3), made as
// the kernel's posix-timers.h says: the complement of the process's, and 2 for
// what the scheduler has counted.
func cpuTime(pid int) (time.Duration, error) {
	const scheduled = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &ts); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// pss finds the line "Pss: 123 kB".
func pss(rollup string) (kib int, err error) {
	for line := range strings.Lines(rollup) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			return strconv.Atoi(f[1])
		}
	}
	return 0, fmt.Errorf("/proc/PID/smaps_rollup has no Pss")
}
