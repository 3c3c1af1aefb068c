package fdb

import (
	"sync/atomic"

	"bulkhead/dataplane/packet"
)

// Learn notes that a frame from the MAC came from d. Any goroutine may call
// it; if the MAC is known there it costs no more than Lookup.
func (t *Table) Learn(segment uint16, mac packet.MAC, d Dest, now Time) Event {
	key, tick := keyOf(segment, mac), tickOf(now)
	if mac.IsMulticast() || mac == (packet.MAC{}) {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.refuse()
	}
	if t.touch(key, d, tick) {
		return Known
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.learn(key, d, tick)
}

func (t *Table) refuse() Event {
	t.stats.Refused++
	return Refused
}

// learn is Learn under the mutex.
func (t *Table) learn(key uint64, d Dest, tick uint32) Event {
	lane, found := t.locate(key)
	if !found {
		return t.add(key, d, tick)
	}
	v := value(t.value(lane).Load())
	switch {
	case t.old(v, tick):
		t.stats.Expired++
		t.clear(lane)
		return t.add(key, d, tick)
	case v.dest() == d:
		return Known // another worker was quicker
	case v.isStatic():
		return t.refuse()
	}
	return t.move(lane, key, d, tick)
}

// move gives a MAC to another destination, or its own another group; then its
// peer is charged as before.
func (t *Table) move(lane uint32, key uint64, d Dest, tick uint32) Event {
	was := value(t.value(lane).Load()).dest()
	if holderName(was) != holderName(d) {
		h := t.holderOf(d)
		if h.count >= h.quota && !t.evictOwn(h) {
			return t.refuse()
		}
		t.detach(lane)
		defer t.attach(lane, d)
	}
	t.write(lane, key, valueOf(d, tick))
	t.stats.Moved++
	return Moved
}

// add learns a MAC that is new.
func (t *Table) add(key uint64, d Dest, tick uint32) Event {
	h := t.holderOf(d)
	if h.count >= h.quota && !t.evictOwn(h) {
		return t.refuse()
	}
	lane, found := t.room(key, h.count+1, tick)
	if !found {
		return t.refuse()
	}
	t.write(lane, key, valueOf(d, tick))
	t.attach(lane, d)
	t.stats.Entries++
	t.stats.Added++
	return Added
}

// AddStatic makes a MAC known for good: it does not age, and learning neither
// moves nor evicts it. It is false if there is no room even by evicting what
// was learned.
func (t *Table) AddStatic(segment uint16, mac packet.MAC, d Dest) bool {
	key := keyOf(segment, mac)
	if key == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	lane, found := t.locate(key)
	if found {
		t.clear(lane)
	}
	if lane, found = t.room(key, 0, 0); !found {
		return false
	}
	t.write(lane, key, valueOf(d, 0)|static)
	t.stats.Entries++
	t.stats.Static++
	return true
}

// Remove forgets a MAC, learned or static.
func (t *Table) Remove(segment uint16, mac packet.MAC) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	lane, found := t.locate(keyOf(segment, mac))
	if found {
		t.clear(lane)
	}
	return found
}

// locate returns the number of the lane that holds a key.
func (t *Table) locate(key uint64) (lane uint32, found bool) {
	if key == 0 {
		return 0, false
	}
	first, second := t.pair(key)
	for _, at := range [2]uint32{first, second} {
		for i := range t.rows[at].keys {
			if t.rows[at].keys[i].Load() == key {
				return at*lanes + uint32(i), true
			}
		}
	}
	return 0, false
}

// write stores an entry so that no reader sees half of it.
func (t *Table) write(lane uint32, key uint64, v value) {
	b, i := &t.rows[lane/lanes], lane%lanes
	b.version.Add(1)
	b.keys[i].Store(key)
	b.values[i].Store(uint64(v))
	b.version.Add(1)
}

// clear forgets the entry of a lane.
func (t *Table) clear(lane uint32) {
	if value(t.value(lane).Load()).isStatic() {
		t.stats.Static--
	} else {
		t.detach(lane)
	}
	t.stats.Entries--
	t.write(lane, 0, 0)
}

// value is the second word of a lane.
func (t *Table) value(lane uint32) *atomic.Uint64 { return &t.rows[lane/lanes].values[lane%lanes] }

// room returns an empty lane for a key: of the emptier of its two buckets,
// else that of an aged entry, else that of the oldest entry of the holder that
// has most among those in the way, if it has more than mine. Static entries
// pass mine = 0 and win over all that is learned.
func (t *Table) room(key uint64, mine int, tick uint32) (lane uint32, found bool) {
	first, second := t.pair(key)
	empty, most := [2]int{-1, -1}, [2]int{}
	victim, fattest := -1, mine
	for k, at := range [2]uint32{first, second} {
		for i := range lanes {
			lane := at*lanes + uint32(i)
			if t.rows[at].keys[i].Load() == 0 {
				empty[k], most[k] = int(lane), most[k]+1
				continue
			}
			v := value(t.value(lane).Load())
			if v.isStatic() {
				continue
			}
			if mine > 0 && t.old(v, tick) {
				t.stats.Expired++
				t.clear(lane)
				return lane, true
			}
			if n := t.holders[holderName(v.dest())].count; n > fattest || victim >= 0 && n == fattest && t.older(lane, uint32(victim)) {
				victim, fattest = int(lane), n
			}
		}
	}
	if t.stats.Entries < t.most && (empty[0] >= 0 || empty[1] >= 0) {
		if most[1] > most[0] {
			return uint32(empty[1]), true
		}
		return uint32(empty[0]), true
	}
	if victim < 0 {
		return 0, false
	}
	t.stats.Evicted++
	t.clear(uint32(victim))
	return uint32(victim), true
}

// older tells whether entry a was seen before entry b.
func (t *Table) older(a, b uint32) bool {
	x, y := value(t.value(a).Load()), value(t.value(b).Load())
	return (y.tick()-x.tick())&tickMask-1 < tickMask/2
}
