package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// unprivileged is what a thread's status says of one that has no privilege and can
// get none (proc_pid_status(5)).
var unprivileged = map[string]string{
	"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000",
	"CapAmb": "0000000000000000", "NoNewPrivs": "1",
}

// Unprivileged looks at every thread of the process: it is an error if one has a
// capability or could get one. It does not believe that what was asked for was done.
func Unprivileged() error {
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) == 0 {
		return errors.New("the threads' privileges cannot be seen: mount /proc")
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return fmt.Errorf("look at a thread's privileges: %w", err)
		}
		if err := hasNone(string(text)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// hasNone holds a status against what it has to say; a line that is missing is
// wrong, too.
func hasNone(status string) error {
	found := 0
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		want, matters := unprivileged[key]
		if !matters {
			continue
		}
		if value = strings.TrimSpace(value); value != want {
			return fmt.Errorf("a thread has %s %s, and must have %s", key, value, want)
		}
		found++
	}
	if found != len(unprivileged) {
		return fmt.Errorf("it says %d of the %d things it must", found, len(unprivileged))
	}
	return nil
}

// keepAlive keeps what a system call points to until it is over.
func keepAlive(list ...any) { runtime.KeepAlive(list) }
