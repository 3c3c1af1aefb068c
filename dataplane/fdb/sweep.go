package fdb

import (
	"time"

	"bulkhead/dataplane/packet"
)

// Expire sweeps so many buckets for aged entries, from where it last stopped,
// and returns how many entries went. Lookup does not find them either way: it
// is for the accounts.
func (t *Table) Expire(now Time, budget int) (expired int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tick := tickOf(now)
	for range min(budget, len(t.rows)) {
		expired += t.clearIf(t.sweep, func(v value) bool { return t.old(v, tick) })
		t.sweep = (t.sweep + 1) % len(t.rows)
	}
	t.stats.Expired += uint64(expired)
	return expired
}

// Flush forgets what was learned behind destinations that are gone, and
// returns how many MACs that were. Static entries stay.
func (t *Table) Flush(gone func(Dest) bool) (flushed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at := range t.rows {
		flushed += t.clearIf(at, func(v value) bool { return !v.isStatic() && gone(v.dest()) })
	}
	return flushed
}

// FlushPort forgets what was learned at a port of this host.
func (t *Table) FlushPort(port packet.PortID) int {
	return t.Flush(func(d Dest) bool { return d == Dest{Port: port, Peer: NoPeer} })
}

// clearIf clears the entries of a bucket whose value the test picks.
func (t *Table) clearIf(at int, pick func(value) bool) (cleared int) {
	b := &t.rows[at]
	for i := range b.keys {
		if b.keys[i].Load() != 0 && pick(value(b.values[i].Load())) {
			t.clear(uint32(at*lanes + i))
			cleared++
		}
	}
	return cleared
}

// Entry is one known MAC, for people.
type Entry struct {
	Segment uint16
	MAC     packet.MAC
	Dest    Dest
	Static  bool
	Idle    time.Duration // since it was last seen, to about a second; 0 if static
}

// Range visits the MACs that have not aged, in so many buckets from number
// from on, under the mutex, which workers wait for when they learn: keep limit
// small. Call it again with next until done.
func (t *Table) Range(from, limit int, now Time, visit func(Entry)) (next int, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tick := tickOf(now)
	for ; from < len(t.rows) && limit > 0; from, limit = from+1, limit-1 {
		b := &t.rows[from]
		for i := range b.keys {
			key, v := b.keys[i].Load(), value(b.values[i].Load())
			if key != 0 && !t.old(v, tick) {
				visit(entryOf(key, v, tick))
			}
		}
	}
	return from, from >= len(t.rows)
}

// Each visits all of them, a few at a time.
func (t *Table) Each(now Time, visit func(Entry)) {
	for from, done := 0, false; !done; {
		from, done = t.Range(from, 64, now, visit)
	}
}

func entryOf(key uint64, v value, tick uint32) Entry {
	e := Entry{
		Segment: uint16(key >> 48), Dest: v.dest(), Static: v.isStatic(),
		MAC: packet.MAC{byte(key >> 40), byte(key >> 32), byte(key >> 24), byte(key >> 16), byte(key >> 8), byte(key)},
	}
	if !e.Static {
		e.Idle = time.Duration(v.idle(tick)) << tickShift
	}
	return e
}
