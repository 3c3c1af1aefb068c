package traffic

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// block is how much the sender writes at a call.
const block = 128 << 10

// slowStart is the part of a measurement that is not counted: the connection
// finds its pace.
const slowStart = 0.1

// Stream is how bytes go: over so many connections at once, all opened by A.
type Stream struct {
	Flows int
	Back  bool // from B to A
}

// TCP returns how fast connections carry bytes to the application at the other
// end, in Gb/s, all together.
func TCP(ctx context.Context, p Path, how Stream, o Options) (gbps float64, err error) {
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for range how.Flows {
		client, server, err := p.pair(tcpPort)
		if err != nil {
			return 0, err
		}
		if how.Back {
			client, server = server, client
		}
		fds = append(fds, client, server)
	}
	var stop atomic.Bool
	var arrived atomic.Int64
	var ends []<-chan error
	for i := 0; i < len(fds); i += 2 {
		ends = append(ends,
			alone(func() error { return pour(fds[i], o.payload(block), &stop) }),
			alone(func() error { return drain(fds[i+1], &arrived, &stop) }))
	}
	gbps, err = rate(ctx, &arrived, o.For)
	stop.Store(true)
	for _, end := range ends {
		err = errors.Join(err, <-end)
	}
	return gbps, err
}

// rate looks twice at a count of bytes.
func rate(ctx context.Context, count *atomic.Int64, d time.Duration) (gbps float64, err error) {
	if err := Wait(ctx, time.Duration(slowStart*float64(d))); err != nil {
		return 0, err
	}
	before, start := count.Load(), time.Now()
	if err := Wait(ctx, time.Duration((1-slowStart)*float64(d))); err != nil {
		return 0, err
	}
	bytes, took := count.Load()-before, time.Since(start)
	if bytes == 0 {
		return 0, fmt.Errorf("no byte arrived in %s", took.Round(time.Millisecond))
	}
	return float64(bytes) * 8 / took.Seconds() / 1e9, nil
}

// pour writes until it is told to stop.
func pour(fd int, b []byte, stop *atomic.Bool) error {
	for !stop.Load() {
		if _, err := unix.Write(fd, b); err != nil && !again(err) {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// drain reads, and counts, until it is told to stop.
func drain(fd int, count *atomic.Int64, stop *atomic.Bool) error {
	b := make([]byte, 2*block)
	for !stop.Load() {
		n, err := unix.Read(fd, b)
		if err != nil && !again(err) {
			return fmt.Errorf("receive: %w", err)
		}
		if n == 0 && err == nil {
			return errors.New("receive: the connection was closed")
		}
		count.Add(int64(max(n, 0)))
	}
	return nil
}
