package vswitch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/control/api"
)

// comments are the recordings that the tests read: the comment of each frame.
type comments struct {
	mu   sync.Mutex
	list []string
}

func (c *comments) Frame(_ time.Time, port, comment string, _ int, _ []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, port+" "+comment)
	return nil
}

func (c *comments) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return ""
	}
	return c.list[len(c.list)-1]
}

// records has captures go to memory, and ends the one that it begins with the
// test.
func (l *lab) records(r *api.CaptureRequest) *comments {
	l.t.Helper()
	c := &comments{}
	before := NewRecording
	NewRecording = func(io.Writer, []string) (Recording, error) { return c, nil }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.sw.Control("", nil).Capture(ctx, r, &bytes.Buffer{}) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
		NewRecording = before
	})
	eventually(l.t, "the capture is open", func() bool { return l.sw.captures.open.Load() == 1 })
	return c
}

// A capture outlives the policy that it was begun under: frames are told in the
// words of the policy that judged them.
func TestCaptureSpeaksOfThePolicyInForce(t *testing.T) {
	l := captureLab(t)
	c := l.records(&api.CaptureRequest{})
	l.sends(t, 1)
	eventually(t, "the first is captured", func() bool { return strings.HasSuffix(c.last(), "rule first") })
	if err := l.load("second"); err != nil {
		t.Fatal(err)
	}
	l.sends(t, 2)
	eventually(t, "the second is captured", func() bool { return strings.HasSuffix(c.last(), "rule second") })
}

// A rule that was asked for is known by its name, and not by a number, which is
// another rule's in the next policy.
func TestCaptureOfARuleThatGoes(t *testing.T) {
	l := captureLab(t)
	c := l.records(&api.CaptureRequest{Rule: "first"})
	l.sends(t, 1)
	eventually(t, "the first is captured", func() bool { return strings.HasSuffix(c.last(), "rule first") })
	if err := l.load("second"); err != nil {
		t.Fatal(err)
	}
	l.sends(t, 2)
	if err := l.load("first"); err != nil {
		t.Fatal(err)
	}
	l.sends(t, 3)
	eventually(t, "the third is captured", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.list) == 2 })
	if !strings.HasSuffix(c.last(), "rule first") {
		t.Errorf("captured %q", c.last())
	}
}

// captureLab is a switch with a policy of one rule, first, in force, and
// another, second, at hand.
func captureLab(t *testing.T) *lab {
	t.Helper()
	l := started(t, twoPorts())
	l.policy("first", "udp/1")
	l.policy("second", "udp/1")
	if err := l.load("first"); err != nil {
		t.Fatal(err)
	}
	return l
}

// sends sends a frame, and waits until the switch has counted n.
func (l *lab) sends(t *testing.T, n uint64) {
	t.Helper()
	a := l.port("a")
	a.inject(0, frame(1, 2, packet.ProtoUDP, 9, 1, 0))
	eventually(t, "it has passed", func() bool { return l.counters(a.id).In == n })
}

// A capture that nobody reads holds no more than its bytes.
func TestCaptureIsBoundedInBytes(t *testing.T) {
	var all captures
	one, _ := all.add(func(*live) (captureFilter, error) { return captureFilter{port: packet.NoPort}, nil })
	var b packet.Batch
	*b.Next() = *packet.NewFrame(make([]byte, 60<<10), 1)
	const offered = 1000
	for range offered {
		all.see(&b, &live{})
	}
	held := uint64(len(one.frames))
	if held == 0 || one.behind.Load() > captureBytes || held+one.lost.Load() != offered {
		t.Errorf("%d frames of %d bytes held, %d lost of %d", held, one.behind.Load(), one.lost.Load(), offered)
	}
	all.add(func(*live) (captureFilter, error) { return captureFilter{}, errors.New("no such rule") })
	blind := all.list[1]
	if all.see(&b, &live{}); len(blind.frames) != 0 {
		t.Error("a capture saw frames of a rule that there is not")
	}
}
