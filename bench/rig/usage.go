package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
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
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return u, err
		}
		cpu, err := cpuTime(string(stat))
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

// ticksASecond is USER_HZ, which is 100 on every architecture that Go runs on.
const ticksASecond = 100

// cpuTime reads user and system time, fields 14 and 15 of proc_pid_stat(5). The
// second field is a name in brackets that may hold anything.
func cpuTime(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const user = 14 - 3 // the first field behind the name is the third
	if len(fields) <= user+1 {
		return 0, fmt.Errorf("/proc/PID/stat has %d fields behind the name", len(fields))
	}
	var ticks uint64
	for _, f := range fields[user : user+2] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksASecond, nil
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
