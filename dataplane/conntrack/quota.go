package conntrack

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// account is what one port holds and may hold, and the ends of the list of its
// embryonic sessions (row numbers plus one), oldest first.
type account struct {
	sessions, embryonic   uint32
	quota, embryonicQuota uint32
	oldest, newest        uint32
}

// links are the neighbours of a row in the lists it is in: row numbers plus
// one, zero for none, so that memory fresh from the kernel is in order.
type links struct {
	next, prev   uint32 // of its slot of the wheel; next of the free list
	younger, old uint32 // of its port's embryonic sessions
}

// SetQuota gives a port bounds of its own; the zero values mean what they mean
// in Config. Sessions beyond a smaller quota stay until they end.
func (t *Table) SetQuota(port packet.PortID, sessions, embryonic uint32) {
	if int(port) < len(t.ports) {
		t.setQuota(port, sessions, embryonic, t.Max())
	}
}

func (t *Table) setQuota(port packet.PortID, sessions, embryonic, most uint32) {
	if sessions == 0 || sessions > most {
		sessions = most
	}
	if embryonic == 0 {
		embryonic = max(1, sessions/4)
	}
	a := &t.ports[port]
	a.quota, a.embryonicQuota = sessions, min(embryonic, sessions)
}

// Charged returns how many sessions a port holds, and how many of these are
// embryonic.
func (t *Table) Charged(port packet.PortID) (sessions, embryonic uint32) {
	if int(port) >= len(t.ports) {
		return 0, 0
	}
	a := &t.ports[port]
	return a.sessions, a.embryonic
}

// admit finds a row and a place in the index for a new session of the port,
// at the cost of the port's own oldest embryonic session where it must.
func (t *Table) admit(port packet.PortID, hash uint64, now Time) (row uint32, at hashtab.Place, reason drop.Reason) {
	if int(port) >= len(t.ports) {
		return 0, 0, drop.SessionQuota
	}
	a := &t.ports[port]
	if (a.sessions >= a.quota || a.embryonic >= a.embryonicQuota) && !t.evictOldest(a) {
		return 0, 0, drop.SessionQuota
	}
	row, found := t.take()
	if !found {
		if !t.evictOldest(a) {
			return 0, 0, drop.SessionFull
		}
		row, _ = t.take()
	}
	at, added := t.index.Insert(hash, row)
	if !added && t.makeRoom(port, hash, now) {
		at, added = t.index.Insert(hash, row)
	}
	if !added {
		t.links[row].next, t.free = t.free, row+1
		return 0, 0, drop.SessionFull
	}
	return row, at, drop.None
}

// evictOldest makes the port's oldest embryonic session go; false if it has
// none.
func (t *Table) evictOldest(a *account) bool {
	if a.oldest == 0 {
		return false
	}
	t.stats.Evicted++
	t.drop(a.oldest - 1)
	return true
}

// makeRoom makes one of the at most 16 sessions go that fill both buckets of a
// hash: one whose time is over, else the embryonic one of the same port that
// has least time left.
func (t *Table) makeRoom(port packet.PortID, hash uint64, now Time) bool {
	var rows [hashtab.MaxProbes]uint32
	var victim *Session
	tick := tickOf(now)
	for _, row := range rows[:t.index.Candidates(hash, &rows)] {
		s := &t.rows[row]
		if s.deadline <= tick {
			t.stats.Expired++
			t.drop(row)
			return true
		}
		if s.owner == port && s.flags&flagEmbryonic != 0 && (victim == nil || s.deadline < victim.deadline) {
			victim = s
		}
	}
	if victim == nil {
		return false
	}
	t.stats.Evicted++
	t.drop(t.index.Row(victim.place))
	return true
}

// charge books a new session to its port, as the youngest embryonic one.
func (t *Table) charge(row uint32) {
	t.stats.Sessions++
	t.ports[t.rows[row].owner].sessions++
	t.incubate(row)
}

// discharge takes a session off its port's account.
func (t *Table) discharge(row uint32) {
	t.stats.Sessions--
	t.ports[t.rows[row].owner].sessions--
	t.hatch(row)
}

// incubate makes a session embryonic.
func (t *Table) incubate(row uint32) {
	s := &t.rows[row]
	a := &t.ports[s.owner]
	s.flags |= flagEmbryonic
	a.embryonic++
	t.stats.Embryonic++
	t.links[row].old, t.links[row].younger = a.newest, 0
	if a.newest != 0 {
		t.links[a.newest-1].younger = row + 1
	} else {
		a.oldest = row + 1
	}
	a.newest = row + 1
}

// hatch makes a session embryonic no longer.
func (t *Table) hatch(row uint32) {
	s := &t.rows[row]
	if s.flags&flagEmbryonic == 0 {
		return
	}
	s.flags &^= flagEmbryonic
	a := &t.ports[s.owner]
	a.embryonic--
	t.stats.Embryonic--
	l := &t.links[row]
	if l.old != 0 {
		t.links[l.old-1].younger = l.younger
	} else {
		a.oldest = l.younger
	}
	if l.younger != 0 {
		t.links[l.younger-1].old = l.old
	} else {
		a.newest = l.old
	}
}
