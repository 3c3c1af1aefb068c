// Package fdb is the forwarding database: behind which port or peer a MAC is
// that no endpoint is bound to.
//
// MACs of workloads are bound, not learned; what is learned comes from peers
// and from segments that ask for it. So the table is small, and a flood of
// source addresses must not cost others anything: it is bounded, in all and
// for each port, and its hash is keyed.
//
// # Concurrency
//
// Any number of workers look up without a lock: an entry is two words, read as
// key, value, key again. Writers, which are few (a new MAC, a move, a refresh
// once a second), hold a mutex. Time is an argument, in nanoseconds.
package fdb

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// Time is nanoseconds of a monotonic clock.
type Time = int64

// Config bounds a table; zero fields take the default.
type Config struct {
	Entries int           // in all; default 65536
	PerPort int           // learned behind one port or peer; default 8192
	Age     time.Duration // without a frame from the MAC; default 300 s (IEEE 802.1Q 8.8.3)
	Secret  hashtab.Secret
}

// Dest is where a MAC is: at a port of this host, or at a peer.
type Dest struct {
	Port packet.PortID
	Peer uint16 // NoPeer if it is at the port itself
}

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
	// Refused: a bound was reached; the MAC was not learned.
	Refused
)

// Stats are totals since the table was made.
type Stats struct {
	Entries                        int
	Added, Moved, Refused, Expired uint64
}

// probes is the most slots a look-up reads.
const probes = 16

// entry is one MAC: key is segment and MAC, zero if empty; value is port, peer
// and the second at which it was last seen.
type entry struct{ key, value atomic.Uint64 }

// Table is a forwarding database. See the package comment.
type Table struct {
	entries []entry
	mask    uint64
	cfg     Config
	mu      sync.Mutex   // guards what follows, and writes to entries
	count   map[Dest]int // learned behind each
	stats   Stats
}

// New makes a table.
func New(cfg Config) (*Table, error) {
	if cfg.Entries == 0 {
		cfg.Entries = 65536
	}
	if cfg.PerPort == 0 {
		cfg.PerPort = 8192
	}
	if cfg.Age == 0 {
		cfg.Age = 300 * time.Second
	}
	if cfg.Entries < 0 || cfg.Entries > 1<<24 {
		return nil, fmt.Errorf("a forwarding table of %d entries: must be from 1 to %d", cfg.Entries, 1<<24)
	}
	if cfg.Secret == (hashtab.Secret{}) {
		cfg.Secret = hashtab.NewSecret()
	}
	n := 1 << bits.Len(uint(cfg.Entries*2-1))
	return &Table{entries: make([]entry, n), mask: uint64(n - 1), cfg: cfg, count: map[Dest]int{}}, nil
}

// Close is the counterpart of New; the table's memory is the heap's.
func (t *Table) Close() {}

func keyOf(segment uint16, mac packet.MAC) uint64 { return uint64(segment)<<48 | mac.Uint64() }

func second(now Time) uint32 { return uint32(now / int64(time.Second)) }

func pack(d Dest, now Time) uint64 {
	return uint64(d.Port)<<48 | uint64(d.Peer)<<32 | uint64(second(now))
}

func unpack(v uint64) (Dest, uint32) {
	return Dest{Port: packet.PortID(v >> 48), Peer: uint16(v >> 32)}, uint32(v)
}

// Lookup finds where a MAC is. Any worker may call it at any time.
func (t *Table) Lookup(segment uint16, mac packet.MAC, now Time) (Dest, bool) {
	key := keyOf(segment, mac)
	for i, at := 0, t.cfg.Secret.Word(key); i < probes; i, at = i+1, at+1 {
		e := &t.entries[at&t.mask]
		if e.key.Load() != key {
			continue
		}
		v := e.value.Load()
		if e.key.Load() != key {
			continue // it was replaced meanwhile
		}
		d, seen := unpack(v)
		return d, !t.old(seen, now)
	}
	return Dest{}, false
}

func (t *Table) old(seen uint32, now Time) bool {
	return int64(second(now))-int64(seen) > int64(t.cfg.Age/time.Second)
}

// Learn notes that a frame from the MAC came from d. A MAC that is known there
// and was noted this second costs no more than a look-up.
func (t *Table) Learn(segment uint16, mac packet.MAC, d Dest, now Time) Event {
	key := keyOf(segment, mac)
	hash := t.cfg.Secret.Word(key)
	for i, at := 0, hash; i < probes; i, at = i+1, at+1 {
		if e := &t.entries[at&t.mask]; e.key.Load() == key && e.value.Load() == pack(d, now) {
			return Known
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.learn(key, hash, d, now)
}

// learn is Learn under the mutex.
func (t *Table) learn(key, hash uint64, d Dest, now Time) Event {
	var room *entry
	for i, at := 0, hash; i < probes; i, at = i+1, at+1 {
		e := &t.entries[at&t.mask]
		switch was, seen := unpack(e.value.Load()); {
		case e.key.Load() == key:
			return t.update(e, was, d, now)
		case room == nil && (e.key.Load() == 0 || t.old(seen, now)):
			room = e
		}
	}
	if room == nil || t.count[d] >= t.cfg.PerPort || t.stats.Entries >= t.cfg.Entries {
		t.stats.Refused++
		return Refused
	}
	if room.key.Load() != 0 {
		t.clear(room)
		t.stats.Expired++
	}
	// The value first: who reads the key must find its value.
	room.value.Store(pack(d, now))
	room.key.Store(key)
	t.count[d]++
	t.stats.Entries++
	t.stats.Added++
	return Added
}

// update refreshes or moves an entry.
func (t *Table) update(e *entry, was, d Dest, now Time) Event {
	if was == d {
		e.value.Store(pack(d, now))
		return Known
	}
	if t.count[d] >= t.cfg.PerPort {
		t.stats.Refused++
		return Refused
	}
	t.less(was)
	t.count[d]++
	e.value.Store(pack(d, now))
	t.stats.Moved++
	return Moved
}

func (t *Table) less(d Dest) {
	if t.count[d]--; t.count[d] <= 0 {
		delete(t.count, d)
	}
}

// clear empties an entry. Look-ups do not stop at an empty slot, so nothing
// needs to move up.
func (t *Table) clear(e *entry) {
	d, _ := unpack(e.value.Load())
	e.key.Store(0)
	t.less(d)
	t.stats.Entries--
}

// Flush forgets what is behind a port or a peer that is gone.
func (t *Table) Flush(gone func(Dest) bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for i := range t.entries {
		e := &t.entries[i]
		if d, _ := unpack(e.value.Load()); e.key.Load() != 0 && gone(d) {
			t.clear(e)
			n++
		}
	}
	return n
}

// Entry is one learned MAC, for people.
type Entry struct {
	Segment uint16
	MAC     packet.MAC
	Dest    Dest
	Idle    time.Duration
}

// Each calls visit with every MAC that is not too old. It is for the control
// API, off the path.
func (t *Table) Each(now Time, visit func(Entry)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.entries {
		key := t.entries[i].key.Load()
		d, seen := unpack(t.entries[i].value.Load())
		if key == 0 || t.old(seen, now) {
			continue
		}
		mac := packet.MAC{byte(key >> 40), byte(key >> 32), byte(key >> 24), byte(key >> 16), byte(key >> 8), byte(key)}
		idle := time.Duration(int64(second(now))-int64(seen)) * time.Second
		visit(Entry{Segment: uint16(key >> 48), MAC: mac, Dest: d, Idle: idle})
	}
}

// Stats returns the table's totals.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}
