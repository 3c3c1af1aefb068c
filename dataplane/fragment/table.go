package fragment

import (
	"errors"
	"fmt"
	"sync"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/internal/hugemem"
	"bulkhead/dataplane/packet"
)

// Time is nanoseconds of a monotonic clock.
type Time = int64

// Lifetime is how long a packet may take from its first fragment to its last.
const Lifetime Time = 5e9

// MaxPieces is the most fragments of one packet: 64 KiB in pieces of 1 KiB.
const MaxPieces = 64

// Config bounds a table; zero fields are the defaults.
type Config struct {
	Packets uint32         // under way in all; 8192, 16 to 1<<20
	Held    uint32         // fragments that wait for the first of their packet; 384 (of 10 KiB: 3.8 MiB)
	Secret  hashtab.Secret // that of this boot
}

// Key tells a packet.
type Key struct {
	Src, Dst packet.Addr
	ID       uint32
	Holder   uint16 // who pays: a port, or a peer; below Holders
	Segment  uint16
	Proto    uint8 // of IPv4; 0 of IPv6
}

// Holders is the number of holders.
const Holders = packet.MaxPorts + 1024

// Piece is the part of a packet that a fragment is, in bytes of the packet from
// where the transport header begins.
type Piece struct {
	Start, End uint16 // End is behind the last; 65535 at most
	Last       bool
}

// State is how far a packet has come.
type State uint8

const (
	// Waiting: the first fragment has not come.
	Waiting State = iota
	// Passing: it has passed. Ports are known.
	Passing
	// Refused: it was not allowed, or fragments overlap.
	Refused
)

// Ports is what the first fragment says and the others do not.
type Ports struct {
	SrcPort, DstPort   uint16
	Query              packet.Query
	Proto              uint8
	ICMPType, ICMPCode uint8
}

// Packet is what the table says of a packet.
type Packet struct {
	State State
	Ports Ports // of a Passing one
	row   uint32
	born  uint32 // tells one packet of a row from the next
}

// Table is the packets under way. See the package comment.
type Table struct {
	mu      sync.Mutex
	secret  hashtab.Secret
	index   *hashtab.Index
	rows    []row
	memory  *hugemem.Table[row]
	free    uint32 // first of the list of free rows, plus one
	fresh   uint32 // rows from here on were never used
	oldest  uint32 // ends of the list of packets by age, plus one
	newest  uint32
	born    uint32
	holders [Holders]account
	quota   account // of each
	store   store
	stats   Stats
}

// account is what a holder has.
type account struct{ packets, held uint16 }

// row is a packet under way, 224 bytes without pointers.
type row struct {
	key          Key
	born         uint32
	place        hashtab.Place
	deadline     Time
	older, newer uint32 // plus one; newer is the next of the free list, too
	first, last  uint32 // fragments held, plus one
	ports        Ports
	state        State
	pieces       uint8
	cover        cover
}

// Stats are totals since the table was made, and what is in it now.
type Stats struct {
	Packets, MaxPackets uint32
	Held, MaxHeld       uint32
	Expired             uint64 // packets that did not become whole in time
	Bytes               int    // of memory
}

// New makes a table.
func New(cfg Config) (*Table, error) {
	if cfg.Packets == 0 {
		cfg.Packets = 8192
	}
	if cfg.Held == 0 {
		cfg.Held = 384
	}
	if cfg.Packets < 16 || cfg.Packets > 1<<20 || cfg.Held > 1<<16 {
		return nil, fmt.Errorf("table of %d fragmented packets, %d held: must be 16 to %d, and at most %d", cfg.Packets, cfg.Held, 1<<20, 1<<16)
	}
	t := &Table{secret: cfg.Secret.OrBoot()}
	t.quota = account{packets: uint16(min(cfg.Packets/8, 1<<16-1)), held: uint16(max(1, cfg.Held/6))}
	var err error
	if t.memory, err = hugemem.Make[row](int(cfg.Packets)); err == nil {
		if t.index, err = hashtab.NewIndex(cfg.Packets); err == nil {
			err = t.store.reserve(cfg.Held)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("table of fragmented packets: %w", err), t.Close())
	}
	t.rows = t.memory.Rows
	t.stats.MaxPackets, t.stats.MaxHeld = cfg.Packets, cfg.Held
	t.stats.Bytes = t.memory.Bytes() + t.index.Bytes() + t.store.memory.Bytes()
	return t, nil
}

// Close frees the memory. The table may not be used afterwards.
func (t *Table) Close() error {
	var errs [3]error
	if t.memory != nil {
		errs[0] = t.memory.Close()
	}
	if t.index != nil {
		errs[1] = t.index.Close()
	}
	if t.store.memory != nil {
		errs[2] = t.store.memory.Close()
	}
	t.rows = nil
	return errors.Join(errs[:]...)
}

// Stats returns the table's totals.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Place books a fragment and says how far its packet has come. The reasons are
// fragment-overlap and fragment-quota.
func (t *Table) Place(k *Key, piece Piece, now Time) (Packet, drop.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	hash := t.hash(k)
	at, found := t.find(k, hash)
	if found && t.rows[at].deadline <= now {
		t.stats.Expired++
		t.forget(at)
		found = false
	}
	if !found {
		var reason drop.Reason
		if at, reason = t.admit(k, hash, now); reason != drop.None {
			return Packet{}, reason
		}
	}
	r := &t.rows[at]
	if r.state == Refused {
		return t.packet(at), drop.None
	}
	if r.pieces == MaxPieces || !r.cover.fits(piece) {
		t.refuse(at)
		return Packet{}, drop.FragmentOverlap
	}
	if !r.cover.add(piece) {
		return Packet{}, drop.FragmentOverlap
	}
	r.pieces++
	p := t.packet(at)
	t.settle(at)
	return p, drop.None
}

// Foretell says what Place would, and whether a fragment that must wait would be
// held, and changes nothing.
func (t *Table) Foretell(k *Key, piece Piece, now Time) (Packet, drop.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, found := t.find(k, t.hash(k))
	a := t.afterExpiry(k.Holder, now, at, found)
	var r row
	if found = found && t.rows[at].deadline > now; found {
		r = t.rows[at]
	}
	switch {
	case !found && a.packets >= t.quota.packets:
		return Packet{}, drop.FragmentQuota
	case r.state == Refused:
		return t.packet(at), drop.None
	case r.pieces == MaxPieces || !r.cover.fits(piece) || !r.cover.add(piece):
		return Packet{}, drop.FragmentOverlap
	case r.state == Waiting && piece.Start != 0 && a.held >= t.quota.held:
		return Packet{}, drop.FragmentQuota
	}
	return Packet{State: r.state, Ports: r.ports}, drop.None
}

// Allow says that the first fragment of a packet has passed, and what it is.
func (t *Table) Allow(p Packet, ports Ports) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.row(p); r != nil && r.state == Waiting {
		r.state, r.ports = Passing, ports
		t.settle(p.row)
	}
}

// Refuse says that the first fragment of a packet was not let through: no other
// is either.
func (t *Table) Refuse(p Packet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.row(p) != nil {
		t.refuse(p.row)
	}
}

// Hold keeps a fragment until the first one of its packet has come; it returns
// false if its holder keeps as many as it may, or it is longer than MaxHeldLen.
func (t *Table) Hold(p Packet, frame []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.row(p)
	if r == nil || r.state != Waiting {
		return false
	}
	a := &t.holders[r.key.Holder]
	if a.held >= t.quota.held {
		return false
	}
	at, kept := t.store.put(frame)
	if !kept {
		return false
	}
	if r.last != 0 {
		t.store.memory.Rows[r.last-1].next = at + 1
	} else {
		r.first = at + 1
	}
	r.last = at + 1
	a.held++
	t.stats.Held++
	return true
}

// Take copies a fragment that was held into buf, which has MaxHeldLen bytes, and
// forgets it. It returns its length; 0: there is none.
func (t *Table) Take(p Packet, buf []byte) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.row(p)
	if r == nil || r.first == 0 {
		return 0
	}
	s := &t.store.memory.Rows[r.first-1]
	n := int(s.length)
	copy(buf, s.bytes[:n])
	t.unhold(r)
	t.settle(p.row)
	return n
}

// Lose forgets a fragment that was held; false: there is none.
func (t *Table) Lose(p Packet) bool { return t.Take(p, nil) != 0 }

func (t *Table) hash(k *Key) uint64 {
	return t.secret.Flow((*[16]byte)(&k.Src), (*[16]byte)(&k.Dst), uint16(k.ID>>16), uint16(k.ID), uint32(k.Proto)<<16|uint32(k.Holder))
}

func (t *Table) find(k *Key, hash uint64) (uint32, bool) {
	b, m := t.index.First(hash)
	for second := false; ; second = true {
		for ; m != 0; m = m.Next() {
			if at := b.Row(m.Lane()); t.rows[at].key == *k {
				return at, true
			}
		}
		if second {
			return 0, false
		}
		b, m = t.index.Second(hash, b)
	}
}

// row returns the row of a packet, if it is still that packet's.
func (t *Table) row(p Packet) *row {
	if r := &t.rows[p.row]; r.born == p.born && p.born != 0 {
		return r
	}
	return nil
}

func (t *Table) packet(at uint32) Packet {
	r := &t.rows[at]
	return Packet{r.state, r.ports, at, r.born}
}

// admit makes a row for a new packet.
func (t *Table) admit(k *Key, hash uint64, now Time) (uint32, drop.Reason) {
	a := &t.holders[k.Holder]
	if a.packets >= t.quota.packets {
		return 0, drop.FragmentQuota
	}
	at, found := t.take()
	if !found {
		return 0, drop.FragmentQuota
	}
	place, added := t.index.Insert(hash, at)
	if !added {
		t.give(at)
		return 0, drop.FragmentQuota
	}
	t.born = max(t.born+1, 1)
	t.rows[at] = row{key: *k, born: t.born, place: place, deadline: now + Lifetime, older: t.newest}
	if t.newest != 0 {
		t.rows[t.newest-1].newer = at + 1
	} else {
		t.oldest = at + 1
	}
	t.newest = at + 1
	a.packets++
	t.stats.Packets++
	return at, drop.None
}

// take returns a row that is free.
func (t *Table) take() (uint32, bool) {
	if t.free != 0 {
		at := t.free - 1
		t.free = t.rows[at].newer
		return at, true
	}
	if int(t.fresh) == len(t.rows) {
		return 0, false
	}
	t.fresh++
	return t.fresh - 1, true
}

func (t *Table) give(at uint32) {
	t.rows[at] = row{newer: t.free}
	t.free = at + 1
}

// refuse ends a packet: it stays, so that what comes of it yet is told from a
// new one's, but nothing is held for it.
func (t *Table) refuse(at uint32) {
	r := &t.rows[at]
	for r.first != 0 {
		t.unhold(r)
	}
	r.state = Refused
}

// settle forgets a packet all of which has passed.
func (t *Table) settle(at uint32) {
	if r := &t.rows[at]; r.state == Passing && r.first == 0 && r.cover.whole() {
		t.forget(at)
	}
}

// afterExpiry is what a holder will have when expire has been called, and then
// the packet of a row is looked for, if one was found.
func (t *Table) afterExpiry(holder uint16, now Time, row uint32, found bool) account {
	a, left := t.holders[holder], found && t.rows[row].deadline <= now
	at := t.oldest
	for n := 0; n < expireBudget && at != 0 && t.rows[at-1].deadline <= now; n++ {
		r := &t.rows[at-1]
		if r.key.Holder == holder {
			t.leave(&a, r)
		}
		left = left && at-1 != row
		at = r.newer
	}
	if left {
		t.leave(&a, &t.rows[row])
	}
	return a
}

// leave takes a packet off an account.
func (t *Table) leave(a *account, r *row) {
	a.packets--
	for h := r.first; h != 0; h = t.store.memory.Rows[h-1].next {
		a.held--
	}
}

// expireBudget is how many packets whose time is over one fragment makes room
// of: more than it can add.
const expireBudget = 4

// expire forgets packets whose time is over, the oldest first.
func (t *Table) expire(now Time) {
	for range expireBudget {
		if t.oldest == 0 || t.rows[t.oldest-1].deadline > now {
			return
		}
		t.stats.Expired++
		t.forget(t.oldest - 1)
	}
}

// forget gives a packet's row and memory back.
func (t *Table) forget(at uint32) {
	r := &t.rows[at]
	for r.first != 0 {
		t.unhold(r)
	}
	t.index.Remove(r.place, t.hash(&r.key))
	if r.older != 0 {
		t.rows[r.older-1].newer = r.newer
	} else {
		t.oldest = r.newer
	}
	if r.newer != 0 {
		t.rows[r.newer-1].older = r.older
	} else {
		t.newest = r.older
	}
	t.holders[r.key.Holder].packets--
	t.stats.Packets--
	t.give(at)
}

// unhold gives the memory of a packet's first held fragment back.
func (t *Table) unhold(r *row) {
	at := r.first - 1
	if r.first = t.store.memory.Rows[at].next; r.first == 0 {
		r.last = 0
	}
	t.store.give(at)
	t.holders[r.key.Holder].held--
	t.stats.Held--
}
