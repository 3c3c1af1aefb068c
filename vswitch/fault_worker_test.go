package vswitch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// F18, a worker that crashes and one that hangs, in the daemon as it is: its thread gets
// SIGSEGV, or is stopped by a debugger while the others run. Either way the process ends
// by itself, within the watchdog's second, and the next one goes on with what was open.
func TestFaultWorker(t *testing.T) {
	root(t)
	for _, k := range []struct {
		what  string
		fault func(*testing.T, *restarts)
	}{
		{"a worker crashes, tap", crashes},
		{"a worker hangs, tap", hangs},
	} {
		t.Run(strings.Fields(k.what)[2][:5], func(t *testing.T) {
			s := stage(t, "tap", "")
			r := s.underWay(2, 5*time.Millisecond) // a second of it fits the queue
			slowest := time.Duration(0)
			for range times(10, 2) {
				begun := time.Now()
				k.fault(t, r)
				_ = r.daemon.Wait()
				slowest = max(slowest, time.Since(begun))
				r.startAgain()
				if got := s.status().TakenOver; got.Ports != 3 || got.Sessions < 3 {
					t.Errorf("taken over %+v", got)
				}
			}
			r.hitless()
			row := r.row("F18", k.what)
			row.figures = fmt.Sprintf("gone after %v at the most; %s", slowest.Round(time.Millisecond), row.figures)
			row.report(t, r.mayLose(5*time.Millisecond))
			if slowest > 3*time.Second { // on a machine that is busy with other tests
				t.Errorf("it took %v", slowest)
			}
		})
	}
}

// worker is the thread of the daemon that has used the most of a CPU: the one that
// carries frames.
func (r *restarts) worker() (tid int) {
	r.t.Helper()
	time.Sleep(100 * time.Millisecond) // it must have carried some
	most := int64(-1)
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", r.pid))
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64); err == nil && n > most {
			most = n
			tid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	if tid == 0 {
		r.t.Fatal("the daemon has no thread")
	}
	return tid
}

func crashes(t *testing.T, r *restarts) {
	t.Helper()
	if err := unix.Tgkill(r.pid, r.worker(), unix.SIGSEGV); err != nil {
		t.Fatal(err)
	}
}

// hangs stops the worker's thread, and it alone, until the process is gone. Which it is
// shows when it stands: nothing arrives any more. A debugger's calls are all made by one
// thread.
func hangs(t *testing.T, r *restarts) {
	t.Helper()
	r.worker() // some have been carried
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", r.pid))
	stopped := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: it ends with the goroutine
		for _, path := range threads {
			tid, _ := strconv.Atoi(filepath.Base(path))
			if syscall.PtraceAttach(tid) != nil {
				continue
			}
			_, _ = syscall.Wait4(tid, nil, syscall.WALL, nil)
			if _, came := r.good.comes(300 * time.Millisecond); came {
				_ = syscall.PtraceDetach(tid)
				continue
			}
			stopped <- true
			_, _ = syscall.Wait4(tid, nil, syscall.WALL, nil) // without it the dead process would not go
			return
		}
		stopped <- false
	}()
	if !<-stopped {
		t.Fatalf("none of %d threads carries frames", len(threads))
	}
}
