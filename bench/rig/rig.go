// Package rig is two network namespaces, A and B, and a third between them for
// what connects them, made for one measurement and removed after it.
//
// Their names carry the process number, so two runs do not meet. Close removes
// everything, last first, also when the run was interrupted; what a killed run
// left, the next one sweeps away (Sweep). Programs that a rig has started get
// SIGKILL from the kernel if this process dies first.
//
// A rig belongs to one goroutine; a process has one rig at a time. It needs
// root.
package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	spacePrefix = "vsb"
	dirPrefix   = "vsbench."
)

// Rig is the namespaces, a directory, and how to undo what was done.
type Rig struct {
	A, B, Middle string // names of namespaces, of this run only; short enough for a device
	Dir          string // for files of the run
	VSwitchd     string // path of the daemon; empty: not known
	ctx          context.Context
	undo         []func() error
	programs     []int // that were started and run until Close
}

// New makes the namespaces. They are empty, but for lo.
func New(ctx context.Context, vswitchd string) (*Rig, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d.", dirPrefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	tag := fmt.Sprintf("%s%d", spacePrefix, os.Getpid())
	r := &Rig{A: tag + "a", B: tag + "b", Middle: tag + "m", Dir: dir, VSwitchd: vswitchd, ctx: ctx}
	r.Undo(func() error { return os.RemoveAll(dir) })
	for _, space := range []string{r.A, r.B, r.Middle} {
		if err := r.Run("ip netns add " + space); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.Undo(func() error { return run("ip", "netns", "del", space) })
		if err := r.Run("ip -n " + space + " link set lo up"); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// Undo registers what Close will do before all that was registered earlier.
func (r *Rig) Undo(f func() error) { r.undo = append(r.undo, f) }

// Close undoes everything, last first. It goes on past errors, and is not
// stopped by an interrupt.
func (r *Rig) Close() error {
	var errs []error
	for i := len(r.undo) - 1; i >= 0; i-- {
		errs = append(errs, r.undo[i]())
	}
	r.undo, r.programs = nil, nil
	return errors.Join(errs...)
}

// Run runs lines of commands, words split by blanks, until one fails or the run
// is interrupted. A command that has begun is let finish: of one that was killed
// nobody could say what it has made.
func (r *Rig) Run(lines ...string) error {
	for _, line := range lines {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		words := strings.Fields(line)
		if err := run(words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// Within is a command line that is run in a namespace of the rig.
func Within(space, line string) string { return "ip netns exec " + space + " " + line }

// Write makes a file in the rig's directory and returns its path.
func (r *Rig) Write(name string, data []byte) (string, error) {
	path := filepath.Join(r.Dir, name)
	return path, os.WriteFile(path, data, 0o600)
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = apart()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// apart puts a command in a process group of its own: an interrupt from the
// terminal is for us.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
