package vswitch

import (
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// captures are the operators' open captures. Workers look at one flag a batch;
// while a capture is open they copy what it asks for into its queue, and count
// what the queue has no room for: a capture never holds up a frame.
type captures struct {
	open atomic.Int32 // how many there are
	mu   sync.Mutex   // guards list
	list []*capture
}

// maxCaptures bounds the captures open at once.
const maxCaptures = 4

// captureQueue and captureBytes are how many frames, and how many bytes of
// them, a capture may be behind.
const (
	captureQueue = 4096
	captureBytes = 16 << 20
)

// capture is one open capture.
type capture struct {
	// filterFor reads what was asked for against a state: ports and rules have
	// other numbers in the next one. An error says that it has nothing of it.
	filterFor func(*live) (captureFilter, error)
	filter    captureFilter // for the state by; captures.mu guards both, and blind
	by        *live
	blind     bool // there is nothing to see in that state

	frames chan captured
	behind atomic.Int64 // bytes in frames
	lost   atomic.Uint64
}

// captureFilter says which frames a capture asks for; the zero value of a
// field asks for all.
type captureFilter struct {
	port    packet.PortID // NoPort: any
	drops   bool          // only frames that were dropped
	reason  drop.Reason
	rule    uint32 // rule + 1
	snaplen int
}

// captured is a copy of a frame and of how it ended.
type captured struct {
	at     time.Time
	by     *live // the state that judged it
	port   packet.PortID
	egress packet.PortID
	reason drop.Reason
	rule   uint32
	length int
	bytes  []byte
}

// add opens a capture; false means that there are too many.
func (c *captures) add(filterFor func(*live) (captureFilter, error)) (*capture, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) >= maxCaptures {
		return nil, false
	}
	one := &capture{filterFor: filterFor, frames: make(chan captured, captureQueue)}
	c.list = append(c.list, one)
	c.open.Store(int32(len(c.list)))
	return one, true
}

// remove closes a capture.
func (c *captures) remove(one *capture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		if c.list[i] == one {
			c.list = append(c.list[:i], c.list[i+1:]...)
			break
		}
	}
	c.open.Store(int32(len(c.list)))
}

// see shows a batch that has been through the walk, by the state l, to the open
// captures.
func (c *captures) see(b *packet.Batch, l *live) {
	if c.open.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, one := range c.list {
		if one.by != l {
			one.follow(l)
		}
		for i := range b.Len() {
			one.offer(b.Frame(i), now)
		}
	}
}

// follow has the capture go by another state.
func (c *capture) follow(l *live) {
	filter, err := c.filterFor(l)
	c.filter, c.by, c.blind = filter, l, err != nil
}

// offer copies a frame if the capture asks for it.
func (c *capture) offer(f *packet.Frame, now time.Time) {
	if c.blind || !c.filter.wants(f) {
		return
	}
	n := f.Len()
	if c.filter.snaplen > 0 {
		n = min(n, c.filter.snaplen)
	}
	if c.behind.Load()+int64(n) > captureBytes {
		c.lost.Add(1)
		return
	}
	got := captured{at: now, by: c.by, port: f.Ingress, egress: f.Egress, reason: f.Reason, rule: f.Rule,
		length: f.Len(), bytes: append([]byte(nil), f.Bytes()[:n]...)}
	select {
	case c.frames <- got:
		c.behind.Add(int64(n))
	default:
		c.lost.Add(1)
	}
}

func (f *captureFilter) wants(frame *packet.Frame) bool {
	switch {
	case f.port != packet.NoPort && frame.Ingress != f.port && frame.Egress != f.port:
		return false
	case f.drops && frame.Reason == drop.None:
		return false
	case f.reason != drop.None && frame.Reason != f.reason:
		return false
	case f.rule != 0 && frame.Rule != f.rule:
		return false
	}
	return true
}
