package sys

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Epoll waits for many file descriptors at the cost of the few that are
// ready. One goroutine waits; Wake may be called from any.
type Epoll struct {
	fd     int
	wake   int // an eventfd, under tag wakeTag
	events [64]unix.EpollEvent
}

// wakeTag marks the eventfd among the events; no caller's tag is negative.
const wakeTag = -1

// NewEpoll makes an Epoll that watches nothing yet.
func NewEpoll() (*Epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	e := &Epoll{fd: fd, wake: wake}
	if err := e.Add(wake, wakeTag); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Add watches fd for readability, under a tag that Wait gives back.
func (e *Epoll) Add(fd int, tag int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: tag}
	if err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("watch descriptor %d: %w", fd, err)
	}
	return nil
}

// Remove stops watching fd. One that is closed already is no error.
func (e *Epoll) Remove(fd int) {
	_ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

// Wait waits until a descriptor is readable, Wake is called or the time is
// over, and calls ready with the tag of each that is. A timeout of zero only
// looks.
func (e *Epoll) Wait(timeout time.Duration, ready func(tag int32)) error {
	n, err := unix.EpollWait(e.fd, e.events[:], int(timeout.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for ports: %w", err)
	}
	for _, ev := range e.events[:n] {
		if ev.Fd == wakeTag {
			var drain [8]byte
			_, _ = unix.Read(e.wake, drain[:])
			continue
		}
		ready(ev.Fd)
	}
	return nil
}

// Wake makes the Wait under way, or the next one, return.
func (e *Epoll) Wake() {
	one := [8]byte{1}
	_, _ = unix.Write(e.wake, one[:])
}

// Close frees the descriptors. Nobody may be waiting.
func (e *Epoll) Close() {
	if e.wake > 0 {
		unix.Close(e.wake)
	}
	unix.Close(e.fd)
}
