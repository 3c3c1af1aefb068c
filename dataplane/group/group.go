// Package group knows who listens to which multicast group: what a switch learns
// by listening to IGMP and MLD (RFC 4541), so that it gives a group's packets to
// those who asked for them and to nobody else.
//
// # What is kept
//
// One row for each segment, group and holder, a holder being a port or a peer,
// with the time at which it is over. A router, who hears every group, is a row
// of its own kind, and so are the querier of a segment and the time at which the
// next question is due. A row is in a chain of its hash.
//
// # Bounds
//
// The table is allocated once. Each holder may have so many rows; one more is
// refused, and so is one for which there is no row or whose chain has MaxSteps:
// a workload that joins a million groups fills its own share. The hash is keyed,
// so nobody can choose groups that share a chain. Rows that are over are not
// found, and are taken back a few at a time.
//
// # Goroutines
//
// A mutex guards the table; it is held for a look-up, never across a call. Of
// frames, only those that are flooded to a group come here. Nothing allocates but
// New and Each. Time is an argument, in nanoseconds of a monotonic clock.
package group

import (
	"fmt"
	"sync"

	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// Time is a monotonic clock in nanoseconds.
type Time = int64

// MaxSteps is the most rows that one look-up reads.
const MaxSteps = 16

// Holder is a port or a peer.
type Holder uint32

// Port and Peer make holders; Nobody holds what is the segment's.
func Port(id packet.PortID) Holder { return Holder(id) }

// Peer makes the holder of a peer.
func Peer(n uint16) Holder { return 1<<16 | Holder(n) }

// Nobody is the holder of what is the segment's own.
const Nobody Holder = 1 << 17

// Names of rows that are no group's. No group has such an address.
var (
	// Router marks a holder that hears every group.
	Router = packet.Addr{15: 1}
	// Querier4 and Querier6 mark a segment in which somebody else asks.
	Querier4, Querier6 = packet.Addr{15: 4}, packet.Addr{15: 6}
	// Asked marks that a segment has been asked, and not yet is to be again.
	Asked = packet.Addr{15: 9}
)

// Config bounds a table; zero fields are the defaults.
type Config struct {
	Rows      int // of all; 8192
	PortQuota int // of one port; 64
	PeerQuota int // of one peer; 1024
	Secret    hashtab.Secret
}

// maxRows bounds Config.Rows.
const maxRows = 1 << 20

// Table is who listens to what. See the package comment.
type Table struct {
	mu     sync.Mutex // guards what follows
	secret hashtab.Secret
	heads  []uint32 // row plus one of each chain's first
	rows   []row
	free   uint32 // row plus one of the first free one
	swept  int
	ports  [packet.MaxPorts]uint16 // rows of each
	peers  [1 << 16]uint16
	cfg    Config
	stats  Stats
}

// row is one listener.
type row struct {
	group   packet.Addr
	until   Time // over from then on
	holder  Holder
	next    uint32 // in the chain, or of the free ones, plus one
	segment uint16
	used    bool
}

// Stats are a table's counts.
type Stats struct {
	Rows, Max int
	Added     uint64
	Refused   uint64 // joins for which there was no room
	Expired   uint64
}

// New makes an empty table.
func New(cfg Config) (*Table, error) {
	for _, f := range []struct {
		n         *int
		otherwise int
	}{{&cfg.Rows, 8192}, {&cfg.PortQuota, 64}, {&cfg.PeerQuota, 1024}} {
		if *f.n == 0 {
			*f.n = f.otherwise
		}
		if *f.n < 0 || *f.n > maxRows {
			return nil, fmt.Errorf("group table: %d rows are out of range: 1 to %d", *f.n, maxRows)
		}
	}
	size := 8
	for size < 2*cfg.Rows {
		size *= 2
	}
	t := &Table{secret: cfg.Secret.OrBoot(), heads: make([]uint32, size), rows: make([]row, cfg.Rows), cfg: cfg}
	for i := range t.rows {
		t.rows[i].next, t.free = t.free, uint32(i+1)
	}
	t.stats.Max = cfg.Rows
	return t, nil
}

// Result is what became of a join.
type Result uint8

const (
	// Refused: there is no room, in the table or in the holder's share.
	Refused Result = iota
	// Known: it listened already.
	Known
	// Added: it is new.
	Added
)

func (t *Table) head(segment uint16, group *packet.Addr, h Holder) *uint32 {
	hash := t.secret.Addr((*[16]byte)(group), uint64(segment)<<32|uint64(h))
	return &t.heads[hash&uint64(len(t.heads)-1)]
}

// find returns a row, nil if there is none, and how many rows the chain has.
func (t *Table) find(segment uint16, group *packet.Addr, h Holder) (r *row, steps int) {
	for at := *t.head(segment, group, h); at != 0 && steps < MaxSteps; steps++ {
		r = &t.rows[at-1]
		if r.holder == h && r.segment == segment && r.group == *group {
			return r, steps
		}
		at = r.next
	}
	return nil, steps
}

// Join notes that a holder listens until a time, which is never made earlier.
func (t *Table) Join(segment uint16, group *packet.Addr, h Holder, now, until Time) Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, steps := t.find(segment, group, h)
	if r != nil {
		known := r.until > now
		r.until = max(r.until, until)
		if known {
			return Known
		}
		return Added
	}
	quota := t.quota(h)
	if steps == MaxSteps || t.free == 0 || quota != nil && int(*quota) >= t.most(h) {
		t.stats.Refused++
		return Refused
	}
	at := t.free
	r, head := &t.rows[at-1], t.head(segment, group, h)
	t.free = r.next
	*r = row{group: *group, until: until, holder: h, next: *head, segment: segment, used: true}
	*head = at
	if quota != nil {
		*quota++
	}
	t.stats.Rows++
	t.stats.Added++
	return Added
}

// quota is how many rows a holder has; nil for what is a segment's.
func (t *Table) quota(h Holder) *uint16 {
	switch {
	case h >= Nobody:
		return nil
	case h >= 1<<16:
		return &t.peers[uint16(h)]
	}
	return &t.ports[h%packet.MaxPorts]
}

func (t *Table) most(h Holder) int {
	if h >= 1<<16 {
		return t.cfg.PeerQuota
	}
	return t.cfg.PortQuota
}

// Leave makes the time at which a holder is over earlier. It tells whether it did:
// of who is about to be over already, or never listened, there is nothing to ask.
func (t *Table) Leave(segment uint16, group *packet.Addr, h Holder, now, until Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, _ := t.find(segment, group, h)
	if r == nil || r.until <= max(now, until) {
		return false
	}
	r.until = until
	return true
}

// Has tells whether a holder listens.
func (t *Table) Has(segment uint16, group *packet.Addr, h Holder, now Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, _ := t.find(segment, group, h)
	return r != nil && r.until > now
}

// Expire takes back the rows that are over, among the next n.
func (t *Table) Expire(now Time, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range min(n, len(t.rows)) {
		t.swept = (t.swept + 1) % len(t.rows)
		if r := &t.rows[t.swept]; r.used && r.until <= now {
			t.remove(uint32(t.swept + 1))
			t.stats.Expired++
		}
	}
}

// remove takes one row out of its chain.
func (t *Table) remove(at uint32) {
	r := &t.rows[at-1]
	link := t.head(r.segment, &r.group, r.holder)
	for *link != at {
		link = &t.rows[*link-1].next
	}
	*link = r.next
	if quota := t.quota(r.holder); quota != nil {
		*quota--
	}
	*r = row{next: t.free}
	t.free = at
	t.stats.Rows--
}

// Flush forgets everything.
func (t *Table) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.rows {
		if t.rows[i].used {
			t.remove(uint32(i + 1))
		}
	}
}

// Entry is a row, for people.
type Entry struct {
	Segment uint16
	Group   packet.Addr // or Router, Querier4, Querier6
	Port    packet.PortID
	Peer    uint16 // 0xffff: it is a port
	Left    Time
}

// Each visits every row that is not over, but those of Asked.
func (t *Table) Each(now Time, visit func(Entry)) {
	t.mu.Lock()
	all := make([]Entry, 0, t.stats.Rows)
	for i := range t.rows {
		r := &t.rows[i]
		if !r.used || r.until <= now || r.group == Asked {
			continue
		}
		e := Entry{Segment: r.segment, Group: r.group, Port: packet.NoPort, Peer: 0xffff, Left: r.until - now}
		switch {
		case r.holder >= Nobody:
		case r.holder >= 1<<16:
			e.Peer = uint16(r.holder)
		default:
			e.Port = packet.PortID(r.holder)
		}
		all = append(all, e)
	}
	t.mu.Unlock()
	for _, e := range all {
		visit(e)
	}
}

// Stats returns the table's counts.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}
