package route

import (
	"sync"
	"time"

	"bulkhead/dataplane/packet"
)

// Bounds of what waits for a neighbour's answer. A host that opens a connection
// sends one packet and waits a second; so a few are enough to lose none.
const (
	MaxWaiting     = 64 // frames in all
	waitingPerHop  = 8  // for one address; for a ninth the oldest of its own port makes room, or of all
	waitingPerPort = 16 // that came in by one port: a flood to the void is its own loss
	// MaxWaitingLen is the longest frame that waits, in bytes, its tunnel's headers
	// included: any of an MTU of 1500. Longer ones are not what begins a connection.
	MaxWaitingLen = 2048
	// patience is how long a frame waits: as long as IPv6 asks for an address before
	// it gives up (RFC 4861 10). Later its sender has sent it again (RFC 6298 2.1).
	patience = 3 * time.Second
)

// Waiting holds frames that are ready to leave but for the MAC of their next hop,
// until that has been answered for. Any goroutine may call its methods.
//
// Whose each row is lies apart from what waits there: who floods an address that
// nobody has makes every frame of his look through the rows, and that is 2 KiB then,
// not 150.
type Waiting struct {
	mu      sync.Mutex // guards what follows
	rows    []waiting
	parcels []parcel // by row
	stats   WaitingStats
}

// WaitingStats are totals since the start, and what waits now.
type WaitingStats struct {
	Waiting int
	Held    uint64
	Expired uint64 // nobody answered
	Evicted uint64 // made room for a later one to the same address
}

// waiting says for whom a frame waits, and who sent it; until zero: the row is free.
type waiting struct {
	hop     packet.Addr
	until   Time
	order   uint64 // counts frames, since those of one batch have one time
	ingress packet.PortID
}

// parcel is the frame.
type parcel struct {
	generation uint32
	length     uint32
	outer      uint16
	rule       uint32
	offload    packet.Offload
	headers    packet.Headers
	bytes      [MaxWaitingLen]byte
}

// NewWaiting makes an empty one. Its memory is all it will ever have.
func NewWaiting() *Waiting {
	return &Waiting{rows: make([]waiting, MaxWaiting), parcels: make([]parcel, MaxWaiting)}
}

// Room tells whether a frame of a port could wait.
func (w *Waiting) Room(f *packet.Frame, overhead int, now Time) bool {
	if f.Offload.GSO != packet.GSONone || f.Len()+overhead > MaxWaitingLen {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expire(now)
	return w.stats.Waiting < MaxWaiting && w.ofPort(f.Ingress) < waitingPerPort
}

// Hold keeps a copy of a frame that is complete but for its first six bytes, the
// MAC of the next hop hop. generation is that of the snapshot which judged it.
func (w *Waiting) Hold(f *packet.Frame, hop *packet.Addr, generation uint32, now Time) bool {
	if f.Len() > MaxWaitingLen {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.place(hop, f.Ingress)
	if i < 0 {
		return false
	}
	w.rows[i] = waiting{*hop, now + int64(patience), w.stats.Held, f.Ingress}
	p := &w.parcels[i]
	p.length = uint32(copy(p.bytes[:], f.Bytes()))
	p.generation, p.outer, p.rule, p.offload, p.headers = generation, f.Outer, f.Rule, f.Offload, f.Headers
	w.stats.Waiting++
	w.stats.Held++
	return true
}

// place finds a row for a frame of a port to an address: a free one, or that of the
// oldest to the same address where these are as many as may be; -1: there is none.
// What the port has waiting there itself makes room first: peers behind one gateway
// have one next hop, and a flood to it is not to push out the others' one packet.
func (w *Waiting) place(hop *packet.Addr, port packet.PortID) int {
	free, n := -1, 0
	for i := range w.rows {
		switch row := &w.rows[i]; {
		case row.until == 0:
			free = i
		case row.hop == *hop:
			n++
		}
	}
	if n < waitingPerHop {
		return free
	}
	w.stats.Waiting--
	w.stats.Evicted++
	if own := w.oldest(hop, port); own >= 0 {
		return own
	}
	return w.oldest(hop, packet.NoPort)
}

// oldest returns the row of the frame that has waited longest for an address, of
// those of a port; of all for packet.NoPort. -1: none does.
func (w *Waiting) oldest(hop *packet.Addr, port packet.PortID) int {
	at := -1
	for i := range w.rows {
		row := &w.rows[i]
		if row.until == 0 || row.hop != *hop || port != packet.NoPort && row.ingress != port {
			continue
		}
		if at < 0 || row.order < w.rows[at].order {
			at = i
		}
	}
	return at
}

// Take writes the oldest frame that waits for an address into c, whose memory is
// buf, and forgets it; found is false if none does.
func (w *Waiting) Take(hop *packet.Addr, c *packet.Frame, buf []byte, now Time) (generation uint32, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expire(now)
	i := w.oldest(hop, packet.NoPort)
	if i < 0 {
		return 0, false
	}
	p := &w.parcels[i]
	copy(buf[packet.Headroom:], p.bytes[:p.length])
	c.Begin(buf, packet.Headroom, packet.Headroom+p.length, w.rows[i].ingress)
	c.Outer, c.Rule, c.Offload, c.Headers = p.outer, p.rule, p.offload, p.headers
	w.rows[i].until = 0
	w.stats.Waiting--
	return p.generation, true
}

// expire gives the rows of frames back that have waited in vain.
func (w *Waiting) expire(now Time) {
	for i := range w.rows {
		if row := &w.rows[i]; row.until != 0 && row.until <= now {
			row.until = 0
			w.stats.Waiting--
			w.stats.Expired++
		}
	}
}

func (w *Waiting) ofPort(port packet.PortID) (n int) {
	for i := range w.rows {
		if w.rows[i].until != 0 && w.rows[i].ingress == port {
			n++
		}
	}
	return n
}

// Stats returns the totals.
func (w *Waiting) Stats() WaitingStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}
