package fdb

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/hugemem"
	"bulkhead/dataplane/packet"
)

// Time is nanoseconds of a monotonic clock.
type Time = int64

// Config bounds a table; zero fields take the default.
type Config struct {
	Entries   int            // in all, static ones included; default 65536, at most 1<<22
	PortQuota int            // learned behind one port of this host; default 64
	PeerQuota int            // learned behind one peer; default 8192
	Age       time.Duration  // without a frame from the MAC; default 300 s (IEEE 802.1Q 8.8.3)
	Secret    hashtab.Secret // default: that of this boot
	// Memory is where the entries lie, MemorySize bytes from a page on and zero; nil: in
	// memory of the table's own. It must outlive the table (keep.go).
	Memory []byte
}

const maxEntries = 1 << 22

// Dest is where a MAC is: at a port of this host, or at a peer.
type Dest struct {
	Port  packet.PortID // NoPort if it is at a peer
	Peer  uint16        // NoPeer if it is at a port
	Group uint16        // at a peer: the group that it spoke for last; 0: none
}

// AtPort is the destination of a MAC of this host.
func AtPort(port packet.PortID) Dest { return Dest{Port: port, Peer: NoPeer} }

// AtPeer is the destination of a MAC behind a peer.
func AtPeer(peer, group uint16) Dest { return Dest{Port: packet.NoPort, Peer: peer, Group: group} }

// NoPeer is the peer of a MAC of this host.
const NoPeer = 0xffff

// Event is what Learn did.
type Event uint8

const (
	// Known: the MAC was known there.
	Known Event = iota
	// Added: it is new.
	Added
	// Moved: it was elsewhere.
	Moved
	// Refused: a bound was reached, the MAC is static elsewhere, or it is no
	// host's. Nothing was learned.
	Refused
)

var eventNames = [...]string{"known", "added", "moved", "refused"}

// String names the event.
func (e Event) String() string {
	if int(e) >= len(eventNames) {
		return "invalid"
	}
	return eventNames[e]
}

// Stats are totals since the table was made, and what is in it now.
type Stats struct {
	Entries int // now, static ones included, and old ones not swept yet
	Static  int // of these
	Added   uint64
	Moved   uint64
	Refused uint64
	Evicted uint64 // to make room
	Expired uint64
}

// lanes is the number of entries of a bucket, probes the most a look-up reads.
const (
	lanes  = 7
	probes = 2 * lanes
)

// fill is the average number of entries a bucket when the table is full.
const fill = 4

// bucket is two cache lines. version is odd while a writer is at it; it and
// the words are written under the mutex, but for the time in a value, which
// Learn sets by compare-and-swap. A key of zero is an empty lane (segment 0
// and the zero MAC, which no host has).
type bucket struct {
	version atomic.Uint64
	keys    [lanes]atomic.Uint64
	values  [lanes]atomic.Uint64
	_       [8]byte
}

// Table is a forwarding database. See the package comment.
type Table struct {
	buckets *hugemem.Table[bucket]
	rows    []bucket
	secret  hashtab.Secret
	age     uint32 // in ticks
	most    int

	mu      sync.Mutex // guards what follows, and writes to rows
	links   []link     // of each entry, by lane number
	holders map[Dest]*holder
	quota   [2]int // of a port, of a peer, unless set
	sweep   int    // the bucket to sweep next
	stats   Stats
}

// New makes a table.
func New(cfg Config) (*Table, error) {
	cfg.Entries = orDefault(cfg.Entries, 65536)
	if cfg.Entries < 0 || cfg.Entries > maxEntries || cfg.PortQuota < 0 || cfg.PeerQuota < 0 || cfg.Age < 0 {
		return nil, fmt.Errorf("forwarding table of %d entries, %d a port, %d a peer, for %v: must be positive, and at most %d entries",
			cfg.Entries, cfg.PortQuota, cfg.PeerQuota, cfg.Age, maxEntries)
	}
	n := bucketsFor(cfg.Entries)
	buckets, err := bucketsOf(cfg.Memory, n)
	if err != nil {
		return nil, fmt.Errorf("forwarding table of %d entries: %w", cfg.Entries, err)
	}
	age := min(int64(orDefault(cfg.Age, 300*time.Second)), maxAge<<tickShift)
	return &Table{
		buckets: buckets, rows: buckets.Rows, secret: cfg.Secret.OrBoot(), most: cfg.Entries,
		age:   uint32((age + 1<<tickShift - 1) >> tickShift),
		links: make([]link, n*lanes), holders: map[Dest]*holder{},
		quota: [2]int{orDefault(cfg.PortQuota, 64), orDefault(cfg.PeerQuota, 8192)},
	}, nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Close frees the memory; nobody may use the table any more.
func (t *Table) Close() error {
	t.rows = nil
	return t.buckets.Close()
}

// Stats returns the table's totals.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Max returns the bound on entries.
func (t *Table) Max() int { return t.most }

// keyOf makes segment and MAC one word.
func keyOf(segment uint16, mac packet.MAC) uint64 { return uint64(segment)<<48 | mac.Uint64() }

// pair returns the numbers of a key's two buckets.
func (t *Table) pair(key uint64) (first, second uint32) {
	h, n := t.secret.Word(key), uint64(len(t.rows))
	return uint32(uint64(uint32(h)) * n >> 32), uint32(h >> 32 * n >> 32)
}
