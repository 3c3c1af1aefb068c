package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Service is a program that is not ours and runs as long as the rig: it says in
// its own way that it is ready, and has its own way to be stopped.
type Service struct {
	Command []string
	Env     []string                    // beside our own
	Ready   func(said string) bool      // given what it has printed so far
	Stop    func(stdin io.Writer) error // asks it to stop; nil: an interrupt
}

// serviceWithin is how long a service may take to be ready: DPDK takes seconds,
// and more on a machine with other work.
const serviceWithin = 30 * time.Second

// readyStep is how often a service is looked at.
const readyStep = 20 * time.Millisecond

// Service starts a service in the middle namespace and waits until it is ready.
// It sees the mounts that `ip netns exec` makes, a /sys without BPF's file
// system: so it can pin nothing that would outlive it. Its standard input stays
// open. Close stops it, and one that does not stop is killed.
func (r *Rig) Service(s Service) error {
	name := filepath.Base(s.Command[0])
	log, err := os.Create(filepath.Join(r.Dir, name+".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", r.Middle}, s.Command...)...)
	cmd.Env, cmd.Dir = append(os.Environ(), s.Env...), r.Dir
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return errors.Join(err, log.Close())
	}
	ended, err := r.start(cmd)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), stdin.Close(), log.Close())
	}
	end := &ending{ended: ended}
	r.Undo(func() error {
		err := end.stop(cmd, name, func() error { return s.ask(cmd, stdin) }, log.Name())
		return errors.Join(err, log.Close())
	})
	return r.awaitService(s, name, log.Name(), end)
}

func (s *Service) ask(cmd *exec.Cmd, stdin io.Writer) error {
	if s.Stop == nil {
		return cmd.Process.Signal(os.Interrupt)
	}
	return s.Stop(stdin)
}

// awaitService looks until the service is ready.
func (r *Rig) awaitService(s Service, name, log string, end *ending) error {
	ctx, cancel := context.WithTimeout(r.ctx, serviceWithin)
	defer cancel()
	tick := time.NewTicker(readyStep)
	defer tick.Stop()
	for {
		said, _ := os.ReadFile(log)
		if s.Ready(string(said)) {
			return nil
		}
		select {
		case err := <-end.ended:
			end.told = true
			return fmt.Errorf("%s ended before it was ready: %v: %s", name, err, tail(log))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", name, ctx.Err(), tail(log))
		case <-tick.C:
		}
	}
}

// ending is how a service ends.
type ending struct {
	ended <-chan error
	told  bool // it ended before it was ready, and that was said
}

// stop has a service stop. How it ends then is its own affair; that it ended
// before it was asked is not.
func (e *ending) stop(cmd *exec.Cmd, name string, ask func() error, log string) error {
	if e.told {
		return nil
	}
	select {
	case err := <-e.ended:
		return fmt.Errorf("%s ended by itself, under measurement: %v: %s", name, err, tail(log))
	default:
	}
	asked := ask()
	if asked != nil {
		asked = fmt.Errorf("ask %s to stop: %w", name, asked)
		_ = cmd.Process.Kill()
	}
	select {
	case <-e.ended:
		return asked
	case <-time.After(stopWithin):
		_ = cmd.Process.Kill()
		<-e.ended
		return errors.Join(asked, fmt.Errorf("%s did not stop within %s of being asked, and was killed", name, stopWithin))
	}
}

// tail is the end of a log, in one line.
func tail(log string) string {
	const most = 400
	said, _ := os.ReadFile(log)
	text := strings.Join(strings.Fields(string(said)), " ")
	if len(text) > most {
		text = "..." + text[len(text)-most:]
	}
	return text
}

// Output runs a command in the middle namespace and returns what it says.
func (r *Rig) Output(env []string, words ...string) (string, error) {
	if err := r.ctx.Err(); err != nil {
		return "", err
	}
	return Command(env, append([]string{"ip", "netns", "exec", r.Middle}, words...)...)
}

// Command runs a command and returns what it says; also after an interrupt,
// for what is to be undone.
func Command(env []string, words ...string) (string, error) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env, cmd.SysProcAttr = append(os.Environ(), env...), apart()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
