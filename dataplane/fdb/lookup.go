package fdb

import "bulkhead/dataplane/packet"

// tries is how often Lookup reads a bucket that is being written before it
// waits for the writer.
const tries = 4

// Lookup finds where a MAC is. Any goroutine may call it at any time.
func (t *Table) Lookup(segment uint16, mac packet.MAC, now Time) (d Dest, found bool) {
	v, found := t.get(keyOf(segment, mac))
	if !found || t.old(v, tickOf(now)) {
		return Dest{}, false
	}
	return v.dest(), true
}

// get finds the value of a key.
func (t *Table) get(key uint64) (value, bool) {
	if key == 0 {
		return 0, false
	}
	first, second := t.pair(key)
	if v, found := t.read(first, key); found {
		return v, true
	}
	return t.read(second, key)
}

// read finds a key in one bucket, without a lock. The words are atomic, so the
// order of the reads is the order of the code: if the version is even and the
// same before and after, nobody wrote between, and the value belongs to the
// key.
func (t *Table) read(at uint32, key uint64) (value, bool) {
	b := &t.rows[at]
	for range tries {
		version := b.version.Load()
		v, found := b.scan(key)
		if version&1 == 0 && b.version.Load() == version {
			return v, found
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return b.scan(key)
}

func (b *bucket) scan(key uint64) (value, bool) {
	for i := range b.keys {
		if b.keys[i].Load() == key {
			return value(b.values[i].Load()), true
		}
	}
	return 0, false
}

// old tells whether a learned entry has aged.
func (t *Table) old(v value, tick uint32) bool { return !v.isStatic() && v.idle(tick) > t.age }

// touch notes that a MAC was seen where it is known to be; false if it is not
// known there, or aged. In one tick only the first call writes.
func (t *Table) touch(key uint64, d Dest, tick uint32) bool {
	first, second := t.pair(key)
	for _, at := range [2]uint32{first, second} {
		b := &t.rows[at]
		for i := range b.keys {
			if b.keys[i].Load() != key {
				continue
			}
			v := value(b.values[i].Load())
			if v.dest() != d || t.old(v, tick) {
				return false
			}
			if !v.isStatic() && v.tick() != tick && v.idle(tick) != 0 {
				// If the entry has changed hands meanwhile, the swap fails, or
				// an entry equal in all but its MAC lives a little longer.
				b.values[i].CompareAndSwap(uint64(v), uint64(valueOf(d, tick)))
			}
			return true
		}
	}
	return false
}
