package tap

import (
	"sync/atomic"

	"bulkhead/dataplane/drop"
	"bulkhead/vswitch/port"
)

// counters of one queue. Workers add to them once a batch; anybody reads.
type counters struct {
	rxFrames, rxBytes, txFrames, txBytes atomic.Uint64
	drops                                [drop.Count]atomic.Uint64
}

// tally is what one Recv or Send counted.
type tally struct {
	frames, bytes uint64
	lost          bool // drops has one
	drops         [drop.Count]uint32
}

func (t *tally) drop(r drop.Reason) {
	t.lost = true
	t.drops[r]++
}

func (c *counters) received(t *tally) {
	c.rxFrames.Add(t.frames)
	c.rxBytes.Add(t.bytes)
	if t.lost {
		c.dropped(t)
	}
}

func (c *counters) sent(t *tally) {
	c.txFrames.Add(t.frames)
	c.txBytes.Add(t.bytes)
	if t.lost {
		c.dropped(t)
	}
}

func (c *counters) dropped(t *tally) {
	for r, n := range t.drops {
		if n != 0 {
			c.drops[r].Add(uint64(n))
		}
	}
}

// addTo sums the counters up into s.
func (c *counters) addTo(s *port.Stats) {
	s.RxFrames += c.rxFrames.Load()
	s.RxBytes += c.rxBytes.Load()
	s.TxFrames += c.txFrames.Load()
	s.TxBytes += c.txBytes.Load()
	for r := range c.drops {
		s.Drops[r] += c.drops[r].Load()
	}
}
