package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
)

// stopWithin is how long a program may take to stop when it is asked to. Only
// tests change it.
var stopWithin = 15 * time.Second

// readyWithin is how long a daemon may take to say that it is ready: one with a
// thousand devices to make has much to do, on a machine with other work.
const readyWithin = time.Minute

// Daemon starts a program in the middle namespace, waits until it says that it
// is ready, by the protocol of systemd (READY=1 to NOTIFY_SOCKET), and has
// Close stop it.
func (r *Rig) Daemon(name string, args ...string) error {
	socket := filepath.Join(r.Dir, "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("listen for the readiness of %s: %w", name, err)
	}
	defer notify.Close()
	log, err := os.Create(filepath.Join(r.Dir, "log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	cmd.Stdout, cmd.Stderr = log, log
	ended, err := r.start(cmd)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	r.Undo(func() error { return errors.Join(stop(cmd, ended), log.Close()) })
	if err := r.ready(notify, ended); err != nil {
		said, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said)
	}
	return nil
}

// start starts a program in the middle namespace; ended tells how it ended.
//
// One thread lives as long as the program: the kernel kills the program when
// the thread that started it dies, and that is meant to be when we do. The
// program is in a process group of its own: an interrupt from the terminal is
// for us, and we stop it in our order.
func (r *Rig) start(cmd *exec.Cmd) (ended <-chan error, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started, end := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never undone: its namespace is not the process's
		err := enter(r.Middle)
		if err == nil {
			err = cmd.Start()
		}
		if started <- err; err == nil {
			end <- cmd.Wait()
			close(end)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	r.programs = append(r.programs, cmd.Process.Pid)
	return end, nil
}

// Signal sends every program of the rig a signal.
func (r *Rig) Signal(s syscall.Signal) error {
	var errs []error
	for _, pid := range r.programs {
		errs = append(errs, syscall.Kill(pid, s))
	}
	return errors.Join(errs...)
}

// Every has f called at intervals until Close, beside what is measured. Close
// tells the first error.
func (r *Rig) Every(d time.Duration, f func() error) {
	stop, end := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				end <- nil
				return
			case <-tick.C:
			}
			if err := f(); err != nil {
				end <- err
				return
			}
		}
	}()
	r.Undo(func() error { close(stop); return <-end })
}

// enter moves the calling thread to a namespace.
func enter(space string) error {
	h, err := netns.GetFromName(space)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", space, err)
	}
	defer h.Close()
	return netns.Set(h)
}

// ready waits for the news, the end of the program, or of the run.
func (r *Rig) ready(notify *net.UnixConn, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(r.ctx, readyWithin)
	defer cancel()
	news := make(chan error, 1)
	go func() {
		b := make([]byte, 256)
		for {
			n, err := notify.Read(b)
			if err != nil || strings.Contains(string(b[:n]), "READY=1") {
				news <- err
				return
			}
		}
	}()
	select {
	case err := <-news:
		return err
	case err := <-ended:
		return errors.Join(errors.New("ended before it was ready"), err)
	case <-ctx.Done():
		return fmt.Errorf("not ready: %w", ctx.Err())
	}
}

// stop asks a program to stop, and sees that it does.
func stop(cmd *exec.Cmd, ended <-chan error) error {
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		if end, untold := <-ended; untold {
			return fmt.Errorf("%s ended by itself, under measurement: %v", cmd.Path, end)
		}
		return nil // ready has told
	}
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s stopped with: %w", cmd.Path, err)
		}
		return nil
	case <-time.After(stopWithin):
		_ = cmd.Process.Kill()
		return fmt.Errorf("%s did not stop within %s of an interrupt, and was killed", cmd.Path, stopWithin)
	}
}
