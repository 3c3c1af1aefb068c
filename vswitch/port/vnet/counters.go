package vnet

import (
	"sync/atomic"

	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/port"
)

// Counters of one queue. Workers add to them once a batch; anybody reads.
type Counters struct {
	rxFrames, rxBytes, txFrames, txBytes atomic.Uint64
	drops                                [drop.Count]atomic.Uint64
}

// Tally is what one Recv or Send counted.
type Tally struct {
	Frames, Bytes uint64
	lost          bool // drops has one
	drops         [drop.Count]uint32
}

// Drop counts a frame that was lost.
func (t *Tally) Drop(r drop.Reason) {
	t.lost = true
	t.drops[r]++
}

// Received adds what one Recv counted.
func (c *Counters) Received(t *Tally) {
	c.rxFrames.Add(t.Frames)
	c.rxBytes.Add(t.Bytes)
	if t.lost {
		c.dropped(t)
	}
}

// Sent adds what one Send counted.
func (c *Counters) Sent(t *Tally) {
	c.txFrames.Add(t.Frames)
	c.txBytes.Add(t.Bytes)
	if t.lost {
		c.dropped(t)
	}
}

func (c *Counters) dropped(t *Tally) {
	for r, n := range t.drops {
		if n != 0 {
			c.drops[r].Add(uint64(n))
		}
	}
}

// AddTo sums the counters up into s.
func (c *Counters) AddTo(s *port.Stats) {
	s.RxFrames += c.rxFrames.Load()
	s.RxBytes += c.rxBytes.Load()
	s.TxFrames += c.txFrames.Load()
	s.TxBytes += c.txBytes.Load()
	for r := range c.drops {
		s.Drops[r] += c.drops[r].Load()
	}
}
