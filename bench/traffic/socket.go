package traffic

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a system call on a socket blocks before it returns with
// EAGAIN, and the loop around it looks whether it is to end.
const patience = 100 * time.Millisecond

// connectWithin is how long a connection may take to come about.
const connectWithin = 5 * time.Second

// socket makes a blocking IPv4 socket with the given patience.
func socket(kind int, d time.Duration) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := setPatience(fd, d); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func setPatience(fd int, d time.Duration) error {
	tv := unix.NsecToTimeval(d.Nanoseconds())
	err := errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv))
	if err != nil {
		return fmt.Errorf("time limit of a socket: %w", err)
	}
	return nil
}

// bound makes a socket in a namespace that is bound to an address there.
func bound(space string, kind int, at netip.AddrPort) (fd int, err error) {
	err = inside(space, func() error {
		if fd, err = socket(kind, patience); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.Bind(fd, address(at)))
	})
	if err != nil {
		return -1, fmt.Errorf("bind to %s in %s: %w", at, space, err)
	}
	return fd, nil
}

// connected makes a socket in a namespace that is connected to an address.
func connected(space string, kind int, to netip.AddrPort) (fd int, err error) {
	err = inside(space, func() error {
		if fd, err = socket(kind, connectWithin); err != nil {
			return err
		}
		return unix.Connect(fd, address(to))
	})
	if err != nil {
		return -1, fmt.Errorf("connect from %s to %s: %w", space, to, err)
	}
	return fd, setPatience(fd, patience)
}

// pair is a TCP connection between the two ends of a path.
func (p Path) pair(port uint16) (client, server int, err error) {
	at := netip.AddrPortFrom(p.To, port)
	listener, err := bound(p.B, unix.SOCK_STREAM, at)
	if err != nil {
		return -1, -1, err
	}
	defer unix.Close(listener)
	if err := errors.Join(unix.Listen(listener, 1), setPatience(listener, connectWithin)); err != nil {
		return -1, -1, fmt.Errorf("listen on %s: %w", at, err)
	}
	if client, err = connected(p.A, unix.SOCK_STREAM, at); err != nil {
		return -1, -1, err
	}
	if server, err = accepted(listener); err != nil {
		unix.Close(client)
		return -1, -1, fmt.Errorf("accept on %s: %w", at, err)
	}
	return client, server, setPatience(server, patience)
}

// accepted takes the connection that waits. A socket with a patience of its own is
// interrupted by signals, and the runtime sends some.
func accepted(listener int) (fd int, err error) {
	for {
		if fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func address(a netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// again tells whether a call is to be made again: it was interrupted, its
// patience ran out, or a queue on the way was full for a moment.
func again(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS)
}
