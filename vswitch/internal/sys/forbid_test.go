package sys

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// attempts are what a process does that has had calls forbidden, each by a thread
// that was there before. allowed is what a switch does all the time.
var attempts = map[string]func(){
	"allowed": func() {
		mem, err := MapAnonymous(1 << 20)
		if err == nil {
			mem[0] = 1
			err = Unmap(mem)
		}
		done := make(chan error)
		go func() { _, err := os.ReadFile("/proc/self/status"); done <- err }()
		time.Sleep(time.Millisecond)
		if err := errors.Join(err, <-done); err != nil {
			panic(err)
		}
	},
	"run_a_program":     func() { _ = syscall.Exec("/bin/true", []string{"true"}, nil) },
	"another_namespace": func() { _ = unix.Unshare(unix.CLONE_NEWUSER) },
	"trace":             func() { _ = syscall.PtraceAttach(1) },
	"bpf":               func() { _, _, _ = syscall.Syscall(unix.SYS_BPF, 0, 0, 0) },
	"another_abi":       func() { _, _, _ = syscall.Syscall(x32|39, 0, 0, 0) },
	"code": func() {
		_, _ = unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	},
	"memory_made_code": func() {
		mem, _ := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		_ = unix.Mprotect(mem, unix.PROT_READ|unix.PROT_EXEC)
	},
}

const attemptOf = "BULKHEAD_TEST_ATTEMPT"

func TestForbidAttempt(t *testing.T) {
	attempt := attempts[os.Getenv(attemptOf)]
	if attempt == nil {
		t.Skip("only as a child of TestForbid")
	}
	begin, done := make(chan struct{}), make(chan struct{})
	go func() { <-begin; attempt(); close(done) }()
	time.Sleep(5 * time.Millisecond)
	if err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), Forbid()); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	close(begin)
	<-done
}

// What is forbidden ends the process, and what a switch does goes on.
func TestForbid(t *testing.T) {
	for name := range attempts {
		cmd := exec.Command(os.Args[0], "-test.run", "TestForbidAttempt$")
		cmd.Env = append(os.Environ(), attemptOf+"="+name)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		killed := errors.As(err, &exit) && (exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGSYS)
		if name == "allowed" && err != nil || name != "allowed" && !killed {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
