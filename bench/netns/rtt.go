package netns

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"time"

	"github.com/vishvananda/netns"
)

// inside runs f on a thread that is in a namespace. Sockets that f makes stay
// there.
func inside(name string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is not unlocked: it ends with the goroutine, and nobody
		// inherits its namespace.
		runtime.LockOSThread()
		h, err := netns.GetFromName(name)
		if err != nil {
			done <- err
			return
		}
		defer h.Close()
		if err := netns.Set(h); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// RTT returns the median time of a byte to the other side and back over one
// open TCP connection, in microseconds.
func (r *Rig) RTT(seconds int) (float64, error) {
	var listener net.Listener
	if err := inside(r.b, func() (err error) {
		listener, err = net.Listen("tcp4", r.target+":5202")
		return err
	}); err != nil {
		return 0, err
	}
	defer listener.Close()
	go echo(listener)
	var conn net.Conn
	if err := inside(r.a, func() (err error) {
		d := net.Dialer{Timeout: 5 * time.Second}
		conn, err = d.Dial("tcp4", r.target+":5202")
		return err
	}); err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	times, err := pingPong(conn, time.Duration(seconds)*time.Second)
	if err != nil {
		return 0, err
	}
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds()) / 1e3, nil
}

func echo(l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}

func pingPong(conn net.Conn, d time.Duration) ([]time.Duration, error) {
	var times []time.Duration
	b := []byte{0}
	if err := conn.SetDeadline(time.Now().Add(d + 10*time.Second)); err != nil {
		return nil, err
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		start := time.Now()
		if _, err := conn.Write(b); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(conn, b); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	if len(times) < 10 {
		return nil, errors.New("fewer than ten round trips")
	}
	return times, nil
}
