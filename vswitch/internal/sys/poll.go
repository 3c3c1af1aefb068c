package sys

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Poll waits until a descriptor is readable, or broken, or the time is over,
// and tells whether one is. A negative timeout waits for ever. A signal is not
// an answer: the wait goes on for what is left. Who waits for many descriptors
// again and again uses an Epoll.
func Poll(timeout time.Duration, fds ...int) (ready bool, err error) {
	list := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		list[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	deadline := time.Now().Add(timeout)
	for {
		var left *unix.Timespec
		if timeout >= 0 {
			ts := unix.NsecToTimespec(int64(max(0, time.Until(deadline))))
			left = &ts
		}
		n, err := unix.Ppoll(list, left, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("poll %d descriptors: %w", len(fds), err)
		}
		return n > 0, nil
	}
}

// Event wakes a sleeper: an eventfd that is readable from Set until Clear. Set
// may be called from any goroutine, Clear from one at a time.
type Event struct {
	fd    int
	count [8]byte // what Clear reads
}

// one is what Set adds: any number but zero will do.
var one = [8]byte{1}

// NewEvent makes an event that is not set.
func NewEvent() (*Event, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return &Event{fd: fd}, nil
}

// FD is what to poll for readability.
func (e *Event) FD() int { return e.fd }

// Set makes the descriptor readable. Setting it twice is setting it once.
func (e *Event) Set() {
	_, _ = unix.Write(e.fd, one[:])
}

// Clear makes the descriptor unreadable and tells whether it was set.
func (e *Event) Clear() bool {
	n, _ := unix.Read(e.fd, e.count[:])
	return n == len(e.count)
}

// Close frees the descriptor. Nobody may be using the event.
func (e *Event) Close() error { return unix.Close(e.fd) }
