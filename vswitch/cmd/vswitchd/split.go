package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/helper"
	"bulkhead/vswitch/internal/sys"
	"bulkhead/vswitch/port"
)

// portsPath is where the port helper of a switch listens.
func portsPath(cfg *config.Config) string { return cfg.Control + ".ports" }

// opener is how the daemon opens ports: itself, or by the port helper. It is made
// before the switch, and begins once nobody else can be the switch.
type opener struct {
	*start
	log    *slog.Logger
	memory []byte // frames, shared with the helper; nil in one process
	fd     int    // of memory
	keep   []byte // what packets make, for the next switch; nil in one process
	keepFD int
	client *helper.Client // nil until it has begun
	child  *exec.Cmd      // the helper that we have started, if we had to
	begun  bool           // the switch has started
	once   sync.Once      // Close
}

// opener makes the frame memory; in one process there is nothing to make.
func (s *start) opener(log *slog.Logger) (*opener, error) {
	o := &opener{start: s, log: log, fd: -1, keepFD: -1}
	if s.single {
		return o, nil
	}
	var err error
	if o.memory, o.fd, err = port.SharedMemory(s.cfg.Limits.Frames); err != nil {
		return nil, fmt.Errorf("frame region of %d frames: %w", s.cfg.Limits.Frames, err)
	}
	if o.keep, o.keepFD, err = vswitch.KeepMemory(s.cfg); err != nil {
		return nil, fmt.Errorf("memory of %d sessions: %w", s.cfg.Limits.Sessions, err)
	}
	return o, nil
}

func (o *opener) apart() vswitch.Apart {
	if o.single {
		return vswitch.Apart{}
	}
	return vswitch.Apart{Helper: o, Memory: o.memory, Keep: o.keep}
}

// Away implements vswitch.Helper.
func (o *opener) Away() string {
	if o.client == nil {
		return ""
	}
	return o.client.Away()
}

// Chunks implements vswitch.Helper.
func (o *opener) Chunks() (n int, sure bool) {
	if o.client == nil {
		return 0, true
	}
	return o.client.Chunks()
}

// Open is a vswitch.Opener. A capture takes no privilege to read.
func (o *opener) Open(c *config.Port, how vswitch.Opening) (port.Port, error) {
	if o.single || c.Driver == "pcap" {
		return openPort(c, how)
	}
	return o.client.Open(c, how)
}

// begin sees to it that there is a helper, and gives the privileges of this process
// up. It refuses to go on with any left.
func (o *opener) begin() error {
	if o.single {
		return silence(o.cfg, func(*config.Port) bool { return false })
	}
	uid, gid, err := idsOf(o.user)
	if err != nil {
		return err
	}
	if !listens(portsPath(o.cfg)) {
		if err := o.startHelper(); err != nil {
			return err
		}
	}
	if err := sys.DropPrivileges(uid, gid); err != nil {
		return errors.Join(fmt.Errorf("give privileges up: %w", err), o.stopHelper())
	}
	if err := sys.Unprivileged(); err != nil {
		return errors.Join(fmt.Errorf("privileges are left, and the switch does not run with any: %w", err), o.stopHelper())
	}
	if err := sys.Forbid(); err != nil {
		return errors.Join(err, o.stopHelper())
	}
	if o.client, err = helper.Dial(portsPath(o.cfg), startTime, o.fd, o.keepFD, takePort, o.log); err != nil {
		return errors.Join(err, o.stopHelper())
	}
	return nil
}

// remains is what the switch before has left; nil: nothing. cold is why it cannot be had.
func (o *opener) remains() (mem []byte, cold error) {
	if o.client == nil {
		return nil, nil
	}
	fd, cold := o.client.Before()
	if fd < 0 {
		return nil, cold
	}
	return sys.MapDescriptor(fd)
}

// started tells the helper that the switch has all its ports.
func (o *opener) started() error {
	o.begun = true
	if o.client == nil {
		return nil
	}
	return o.client.Begun()
}

// startTime is how long a helper may take to listen; stopTime to end.
const (
	startTime = 10 * time.Second
	stopTime  = 10 * time.Second
)

// listens tells whether a helper listens, as systemd's does.
func listens(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) == nil
}

// startHelper starts a helper of our own, in a session of its own: what is typed at
// our terminal to stop us is not for it, which has to close ports when we ask.
func (o *opener) startHelper() error {
	args := []string{"ports", "-c", o.file, "--again"}
	if o.user != "" {
		args = append(args, "--user", o.user)
	}
	o.child = self(args...)
	o.child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := o.child.Start(); err != nil {
		return fmt.Errorf("start the port helper: %w", err)
	}
	return nil
}

// stopHelper ends a helper of our own that we cannot talk to.
func (o *opener) stopHelper() error {
	if o.child != nil {
		_ = o.child.Process.Signal(syscall.SIGTERM)
	}
	return o.waitHelper()
}

// waitHelper waits until a helper of our own has ended.
func (o *opener) waitHelper() error {
	if o.child == nil {
		return nil
	}
	ended, child := make(chan struct{}), o.child
	o.child = nil
	go func() {
		_ = child.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(stopTime):
		return errors.New("the port helper does not end")
	}
}

// Close says good-bye to the helper. One that was there before a switch that could not
// start is left with what it holds: another may be able to. A second Close does nothing.
func (o *opener) Close() (err error) {
	o.once.Do(func() {
		switch {
		case o.client == nil:
		case !o.begun && o.child == nil:
			o.client.Leave()
		default:
			err = errors.Join(o.client.Close(), o.waitHelper())
		}
		o.closeFDs()
	})
	return err
}

// leave ends the talk with the helper, which holds all for the next switch.
func (o *opener) leave() {
	o.once.Do(func() {
		o.client.Leave()
		o.closeFDs()
	})
}

func (o *opener) closeFDs() {
	for _, fd := range []int{o.fd, o.keepFD} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// self is this very program, called anew.
func self(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stderr = os.Stderr
	return cmd
}

// idsOf returns the numbers of a user and its group; -1 for none.
func idsOf(name string) (uid, gid int, err error) {
	if name == "" {
		return -1, -1, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("--user: %w; create it: useradd --system %s", err, name)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	return uid, gid, err
}
