package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// All ports of a process share one listener to the kernel's news of devices. A
// listener a port would be told of every other port, too: a thousand ports that
// come up would be a million messages, and a buffer of 64 KiB each.

// Watcher follows a device until it is closed.
type Watcher struct {
	index   int
	link    func(State)
	filters func()
	deaf    atomic.Bool // it is closed, or its listener has ended
}

// listener is the one that there is, from the first watcher to the last.
type listener struct {
	mu       sync.Mutex // guards what follows, and is held while watchers are called
	socket   *nl.NetlinkSocket
	watchers map[*Watcher]struct{}
}

var listening = &listener{watchers: map[*Watcher]struct{}{}}

// Watch calls link with each change of a device, and filters, if it is not nil,
// when the device's traffic control may have changed. Both are called one at a
// time, for all devices, so they must be brief, and must not call Watch or Close.
// News that the kernel had to drop is made up for by a look at every device. The
// devices of all watchers at a time are of one network namespace.
func Watch(index int, link func(State), filters func()) (*Watcher, error) {
	w := &Watcher{index: index, link: link, filters: filters}
	l := listening
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == nil {
		s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_TC)
		if err != nil {
			return nil, fmt.Errorf("watch the device: %w", err)
		}
		l.socket = s
		go l.listen(s) // until the last watcher closes s
	}
	l.watchers[w] = struct{}{}
	return w, nil
}

// Deaf tells that no news comes any more: who watches goes by what it asks. A
// watcher that is closed is deaf.
func (w *Watcher) Deaf() bool { return w == nil || w.deaf.Load() }

// Close ends the watch: once it returns neither function is called any more. A
// nil watcher is closed.
func (w *Watcher) Close() {
	if w == nil {
		return
	}
	l := listening
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.watchers, w)
	w.deaf.Store(true)
	if len(l.watchers) == 0 && l.socket != nil {
		l.socket.Close()
		l.socket = nil
	}
}

func (l *listener) listen(s *nl.NetlinkSocket) {
	for {
		messages, from, err := s.Receive()
		l.mu.Lock()
		if l.socket != s {
			l.mu.Unlock()
			return
		}
		switch {
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EINTR):
			l.lookAtAll()
		case err != nil:
			s.Close()
			l.socket = nil // the next watcher listens anew; who watches now goes by Status
			for w := range l.watchers {
				w.deaf.Store(true)
			}
			l.lookAtAll()
			l.mu.Unlock()
			return
		case from.Pid == nl.PidKernel:
			for i := range messages {
				l.tell(&messages[i])
			}
		}
		l.mu.Unlock()
	}
}

// lookAtAll is for when news was lost.
func (l *listener) lookAtAll() {
	for w := range l.watchers {
		if s := Look(w.index); s.Err == nil {
			w.link(s)
		}
		if w.filters != nil {
			w.filters()
		}
	}
}

// tell passes a message on to the watchers of its device. struct ifinfomsg and
// struct tcmsg both have the device's index at their second word.
func (l *listener) tell(m *syscall.NetlinkMessage) {
	const indexAt, flagsAt, carrying = 4, 8, unix.IFF_UP | unix.IFF_LOWER_UP
	if len(m.Data) < unix.SizeofIfInfomsg {
		return
	}
	index := int(int32(binary.NativeEndian.Uint32(m.Data[indexAt:])))
	for w := range l.watchers {
		if w.index != index {
			continue
		}
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			flags := binary.NativeEndian.Uint32(m.Data[flagsAt:])
			w.link(State{Gone: m.Header.Type == unix.RTM_DELLINK && m.Data[0] == unix.AF_UNSPEC, Up: flags&carrying == carrying})
		case unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER:
			if w.filters != nil {
				w.filters()
			}
		}
	}
}
