package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// takeSocket listens at a path that only we may listen at. A lock file beside
// it says whose it is: a socket left by a daemon that was killed is taken over,
// that of a live one is not.
func takeSocket(path string, gid int) (net.Listener, *os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, nil, fmt.Errorf("control socket: %w; name another with control =", err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	listener, err := listenAt(path, gid)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("control socket: %w", err), dropLock(lock))
	}
	return listener, lock, nil
}

// listenAt replaces a socket at path, and nothing else that may be there.
func listenAt(path string, gid int) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there and is no socket; move it away, or name another with control =", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	listener, err := listenPrivately(path)
	if err != nil {
		return nil, err
	}
	if gid >= 0 {
		err = os.Chown(path, -1, gid)
	}
	if err := errors.Join(err, os.Chmod(path, 0o660)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// listenPrivately listens on a socket that nobody may use before its mode and
// group are set.
func listenPrivately(path string) (net.Listener, error) {
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// lockFile takes a lock that ends with the process.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		held, err := lockOpen(path, f)
		if held {
			_ = f.Truncate(0)
			_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// lockOpen locks an open file. The daemon before us may have taken it away
// between our opening and our locking it: then what we have is a lock on
// nothing, which is not held, and it is to be opened again.
func lockOpen(path string, f *os.File) (held bool, err error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := make([]byte, 16)
		n, _ := f.ReadAt(holder, 0)
		return false, fmt.Errorf("another vswitchd (pid %s) has it; stop that one, or set control = to another path", strings.TrimSpace(string(holder[:n])))
	}
	return stillAt(path, f), nil
}

// stillAt tells whether an open file is the one that the path leads to.
func stillAt(path string, f *os.File) bool {
	at, err := os.Lstat(path)
	held, err2 := f.Stat()
	return err == nil && err2 == nil && os.SameFile(at, held)
}

// dropLock takes the lock file away while we still hold it, then lets go.
func dropLock(lock *os.File) error {
	_ = os.Remove(lock.Name())
	return lock.Close()
}
