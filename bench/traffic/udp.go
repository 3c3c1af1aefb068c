package traffic

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// overhead is what a datagram adds on the wire: Ethernet, IPv4, UDP, and the
// frame check sequence.
const overhead = 14 + 20 + 8 + 4

// Frames on the wire have at least this many bytes, and without VLAN tags and
// jumbo frames at most so many (IEEE 802.3).
const (
	minFrame = 64
	maxFrame = 1518
)

// Count is what became of the datagrams of a flood.
type Count struct {
	Sent     uint64 // accepted by the sender's kernel
	Arrived  uint64 // at the receiver's socket, read or not
	Overflow uint64 // of those, dropped there because the receiver read too slowly
	For      time.Duration
}

// Rate returns thousands of datagrams that arrived a second.
func (c Count) Rate() float64 { return float64(c.Arrived) / c.For.Seconds() / 1e3 }

// Loss returns the share of datagrams that were sent and did not arrive, in
// per cent.
func (c Count) Loss() float64 {
	if c.Sent == 0 {
		return 0
	}
	return 100 * (1 - float64(c.Arrived)/float64(c.Sent))
}

// UDP sends datagrams that make frames of a size on the wire as fast as one
// thread can, and counts at the receiver.
//
// Arrived is what reached the receiver's socket, even if its buffer was full:
// a slow reader is no fault of what is between.
func UDP(ctx context.Context, p Path, frame int, o Options) (c Count, err error) {
	if frame < minFrame || frame > maxFrame {
		return c, fmt.Errorf("a frame of %d bytes: Ethernet has %d to %d", frame, minFrame, maxFrame)
	}
	f, err := openFlood(p, o.payload(frame-overhead))
	if err != nil {
		return c, err
	}
	defer f.close()
	receiving := run(f.receive)
	if err = f.begin(ctx); err == nil {
		sending, start := run(f.send), time.Now()
		err = Wait(ctx, o.For)
		f.stop.Store(true)
		err = errors.Join(err, <-sending)
		c.For = time.Since(start)
		f.settle()
	}
	if err = errors.Join(err, f.finish(), <-receiving); err != nil {
		return c, err
	}
	return f.count(c)
}

// run runs f beside the caller.
func run(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}
