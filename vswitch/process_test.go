package vswitch_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cpu measures the processor time that a process uses in a while.
func cpu(t *testing.T, pid int, while time.Duration) time.Duration {
	t.Helper()
	before := ticks(t, pid)
	time.Sleep(while)
	return time.Duration(ticks(t, pid)-before) * 10 * time.Millisecond // USER_HZ is 100
}

// ticks reads a process's user and system time (proc(5), fields 14 and 15).
func ticks(t *testing.T, pid int) int64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return user + system
}
