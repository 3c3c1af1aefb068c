// Package traffic makes traffic between two network namespaces with ordinary
// sockets, and measures it where it arrives: TCP throughput, UDP packets a
// second, and round-trip times.
//
// Nothing is set but what an application sets: no offload is touched, no
// segmentation asked for. What the sender hands to its kernel is not a figure;
// what the receiver gets is. Payloads come from a seed, so two runs with the
// same seed send the same bytes.
//
// Each measurement runs on two threads of its own with blocking system calls,
// so that what is timed is the path and not Go's scheduler. A measurement ends
// when its context does.
package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/vishvananda/netns"
)

// Ports that servers listen on: what a subject's policy must let from A to B,
// for TCP and UDP.
const (
	FirstPort  = 5201
	LastPort   = 5210
	tcpPort    = FirstPort
	echoPort   = FirstPort + 1
	firstFlood = FirstPort + 2 // and all after it, by turns
)

// Path is where traffic goes: from namespace A to an address in namespace B.
type Path struct {
	A, B string
	To   netip.Addr
}

// Options are how to send.
type Options struct {
	For  time.Duration
	Seed uint64
}

// payload returns n bytes of the seed.
func (o Options) payload(n int) []byte {
	random := rand.New(rand.NewPCG(o.Seed, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// inside runs f on a thread that is in a namespace. Sockets that f makes stay
// there.
func inside(space string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is not unlocked: it ends with the goroutine, and nobody
		// inherits its namespace.
		runtime.LockOSThread()
		done <- enterAnd(space, f)
	}()
	return <-done
}

func enterAnd(space string, f func() error) error {
	h, err := netns.GetFromName(space)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", space, err)
	}
	defer h.Close()
	if err := netns.Set(h); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", space, err)
	}
	return f()
}

// alone runs f on a thread of its own.
func alone(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- f()
	}()
	return done
}

// Wait lets time pass, unless the context ends first.
func Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
