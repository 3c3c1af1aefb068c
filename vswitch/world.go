package vswitch

import (
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"bulkhead/vswitch/internal/sys"
)

// world is what a switch has of the world outside, besides its ports and the clock. A
// simulation (simulate_test.go) gives it another one: one in which a disk fails at the
// call that is asked for, and a worker's sleep takes no time.
type world struct {
	poller func() (poller, error) // what a worker sleeps in
	spin   time.Duration          // how long it looks before it does
	thread func()                 // gives it a thread of its own
	disk   disk
}

// theWorld is the one that there is.
var theWorld = world{
	poller: func() (poller, error) { return sys.NewEpoll() },
	spin:   spinFor,
	thread: runtime.LockOSThread,
	disk:   host{},
}

// poller is what a worker sleeps in until one of its queues has frames: sys.Epoll.
type poller interface {
	Add(fd int, tag int32) error
	Remove(fd int)
	Wait(timeout time.Duration, ready func(tag int32)) error
	Wake()
	Close()
}

// disk is what the switch reads policies and keys from, and keeps a number on.
type disk interface {
	// Open opens a file, or a directory to sync it. It does not wait: not for the
	// writer of a pipe.
	Open(path string) (file, error)
	// Create makes a file that was not there, for its owner only.
	Create(path string) (file, error)
	// MkdirAll makes a directory, and those above it, where there is none.
	MkdirAll(path string) error
	Rename(from, to string) error
	Remove(path string) error
}

// file is an open file, or directory.
type file interface {
	io.ReadWriteCloser
	Stat() (fs.FileInfo, error)
	Sync() error
}

// host is the disk of this machine.
type host struct{}

func (host) Open(path string) (file, error) {
	return open(path, os.O_RDONLY|syscall.O_NONBLOCK)
}

func (host) Create(path string) (file, error) {
	return open(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
}

// open is os.OpenFile, whose nil is no file.
func open(path string, how int) (file, error) {
	f, err := os.OpenFile(path, how, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (host) MkdirAll(path string) error   { return os.MkdirAll(path, 0o750) }
func (host) Rename(from, to string) error { return os.Rename(from, to) }
func (host) Remove(path string) error     { return os.Remove(path) }
