package vswitch

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// faulty is a queue that fails as it is told to, once a frame waits.
type faulty struct {
	labQueue
	fault func()
	on    chan struct{}
}

func (q *faulty) Recv(b *packet.Batch) error {
	select {
	case <-q.on:
		q.fault()
	default:
	}
	return q.labQueue.Recv(b)
}

// faults are what a worker is made to do.
var faults = map[string]func(){
	"panics": func() { panic("injected") },
	"loops": func() {
		for spins := 0; ; spins++ { // the scheduler can interrupt it, and does not end it
			if spins < 0 {
				return
			}
		}
	},
	"waits": func() { select {} },
	// A call that the scheduler is not told of: the world cannot be stopped.
	"hangs_in_a_raw_call": func() {
		for {
			_, _, _ = syscall.RawSyscall6(syscall.SYS_PSELECT6, 0, 0, 0, 0, 0, 0)
		}
	},
}

// faultOf names the fault that the process is to inject into itself.
const faultOf = "BULKHEAD_TEST_FAULT"

// The process that the fault is in: the test itself, called anew.
func TestWatchdogFault(t *testing.T) {
	fault := faults[os.Getenv(faultOf)]
	if fault == nil {
		t.Skip("only as a child of TestWatchdogEndsTheProcess")
	}
	l := newLab(t, twoPorts())
	on := make(chan struct{})
	l.odd["a"] = func(p *labPort, i int) port.Queue {
		return &faulty{labQueue{p.Port.Queues()[i], p}, fault, on}
	}
	l.sw.AbortWhenStuck()
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Println("injected")
	close(on)
	l.port("a").inject(0, frame(1, 2, 6, 1001, 80, 2))
	time.Sleep(time.Minute)
}

// Whatever a worker does instead of its work, the process is gone within a second.
// On a machine that is busy with other tests it is allowed three.
func TestWatchdogEndsTheProcess(t *testing.T) {
	for name := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run", "TestWatchdogFault$")
			cmd.Env = append(os.Environ(), faultOf+"="+name)
			said := &strings.Builder{}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stderr, cmd.WaitDelay = said, time.Second
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
			if _, err := io.ReadFull(out, make([]byte, len("injected\n"))); err != nil {
				t.Fatal(err, said)
			}
			begun := time.Now()
			_, _ = io.Copy(io.Discard, out)
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) {
				t.Fatalf("ended with %v: %s", err, said)
			}
			took := time.Since(begun)
			t.Logf("gone after %v", took)
			if took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if name == "panics" && !strings.Contains(said.String(), "panic: injected") {
				t.Errorf("says %s", said)
			}
		})
	}
}

// A switch that has nothing to do, or whose process was stopped for a while, is well.
func TestWatchdogKnowsIdleFromStuck(t *testing.T) {
	l := newLab(t, twoPorts())
	l.sw.stuck = func(worker int) { t.Errorf("worker %d is taken for stuck", worker) }
	if err := l.sw.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(15 * guardEvery)
}

// Nothing on the path of a frame recovers: a panic ends the process.
func TestNothingRecovers(t *testing.T) {
	for _, dir := range []string{".", "port", "../dataplane"} {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "control") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if id, is := n.(*ast.Ident); is && id.Name == "recover" {
					t.Errorf("%s recovers", path)
				}
				return true
			})
			return nil
		})
	}
}
