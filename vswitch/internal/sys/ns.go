package sys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// NetnsDir is where `ip netns` keeps the names of network namespaces.
const NetnsDir = "/run/netns"

// ErrNoNetns says that the namespace that was asked for does not exist.
var ErrNoNetns = errors.New("no such network namespace")

// Netns is an open network namespace. The descriptor keeps the namespace alive
// until Close. Its methods may be called from any goroutine.
type Netns struct {
	fd   int
	name string // as asked for, for errors
}

// OpenNetns opens a network namespace. The name is one of
//
//	""          the namespace of the calling process
//	"web"       a name under /run/netns, as `ip netns add web` makes
//	"/a/path"   a file that a namespace is mounted on
//	"pid:1234"  the namespace of a process
//
// A namespace that does not exist is ErrNoNetns, wrapped.
func OpenNetns(name string) (*Netns, error) {
	path, err := netnsPath(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return nil, fmt.Errorf("open network namespace %q: %w: %s is missing (make it with `ip netns add`, or start the workload first)", name, ErrNoNetns, path)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("open network namespace %q: %w (needs root, or CAP_SYS_PTRACE for another user's process)", name, err)
	case err != nil:
		return nil, fmt.Errorf("open network namespace %q: %w", name, err)
	}
	// A left-over mount point is an ordinary empty file: entering it would
	// fail much later and with no word about why.
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		unix.Close(fd)
		return nil, fmt.Errorf("open network namespace %q: %w: %s is not a network namespace (left over after a reboot? remove it with `ip netns del`)", name, ErrNoNetns, path)
	}
	return &Netns{fd: fd, name: name}, nil
}

// netnsPath returns the file that stands for a namespace.
func netnsPath(name string) (string, error) {
	if name == "" {
		return "/proc/thread-self/ns/net", nil
	}
	if number, isPID := strings.CutPrefix(name, "pid:"); isPID {
		pid, err := strconv.ParseUint(number, 10, 31)
		if err != nil || pid == 0 {
			return "", fmt.Errorf("network namespace %q: want pid: and a process number", name)
		}
		return fmt.Sprintf("/proc/%d/ns/net", pid), nil
	}
	if filepath.IsAbs(name) {
		return filepath.Clean(name), nil
	}
	if err := checkNetnsName(name); err != nil {
		return "", err
	}
	return filepath.Join(NetnsDir, name), nil
}

// checkNetnsName refuses names that would lead out of NetnsDir.
func checkNetnsName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("network namespace %q: want a name under %s, an absolute path or pid:N", name, NetnsDir)
	}
	return nil
}

// FD returns the descriptor, for netlink requests that name a namespace.
func (n *Netns) FD() int { return n.fd }

// Close lets go of the namespace.
func (n *Netns) Close() error { return unix.Close(n.fd) }

// Do runs f inside the namespace, on a thread of its own, and waits for it.
// Goroutines that f starts are outside. Sockets and devices that f opens
// belong to the namespace for ever.
//
// A thread that cannot get back is not given to anybody else: it ends.
func (n *Netns) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := fmt.Errorf("in network namespace %q: the goroutine was ended", n.name) // runtime.Goexit, as by a test that fails
		defer func() { done <- err }()
		err = n.do(f)
	}()
	return <-done
}

func (n *Netns) do(f func() error) error {
	runtime.LockOSThread() // undone only where the thread is back home
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer unix.Close(home)
	if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace %q: %w (needs CAP_SYS_ADMIN)", n.name, err)
	}
	err = f()
	if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, fmt.Errorf("leave network namespace %q: %w", n.name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// CreateNetns makes a network namespace and gives it a name, as `ip netns add`
// does. A name in use is an error; on any error nothing is left behind.
func CreateNetns(name string) error {
	if err := checkNetnsName(name); err != nil {
		return err
	}
	if err := os.MkdirAll(NetnsDir, 0o755); err != nil {
		return fmt.Errorf("create network namespace %q: %w", name, err)
	}
	path := filepath.Join(NetnsDir, name)
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return fmt.Errorf("create network namespace %q: %w", name, err)
	}
	file.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never undone: the thread ends with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("unshare: %w (needs CAP_SYS_ADMIN)", err)
			return
		}
		done <- unix.Mount("/proc/thread-self/ns/net", path, "none", unix.MS_BIND, "")
	}()
	if err := <-done; err != nil {
		os.Remove(path)
		return fmt.Errorf("create network namespace %q: %w", name, err)
	}
	return nil
}

// NewNetns makes a network namespace without a name. It ends, with what was made
// in it, when its descriptor is closed, also by the end of the process: kill -9
// leaves nothing.
func NewNetns() (*Netns, error) {
	type made struct {
		fd  int
		err error
	}
	done := make(chan made, 1)
	go func() {
		runtime.LockOSThread() // never undone: the thread ends with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- made{-1, fmt.Errorf("unshare: %w (needs CAP_SYS_ADMIN)", err)}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		done <- made{fd, err}
	}()
	m := <-done
	if m.err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", m.err)
	}
	return &Netns{fd: m.fd, name: "(no name)"}, nil
}

// RemoveNetns takes a namespace's name away, as `ip netns del` does. The
// namespace itself ends with its last process and descriptor.
func RemoveNetns(name string) error {
	if err := checkNetnsName(name); err != nil {
		return err
	}
	path := filepath.Join(NetnsDir, name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove network namespace %q: %w", name, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove network namespace %q: %w", name, err)
	}
	return nil
}
