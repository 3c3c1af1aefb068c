package conntrack

import "time"

// Timeouts is how long a session may be silent, in ticks (seconds), by State.
type Timeouts [stateCount]uint32

// The defaults: those of the stateful filters that people know, where these
// agree. An answered TCP connection may be silent for a day; what is not
// answered, or is finished, goes soon.
var defaultTimeouts = Timeouts{
	StateNone:        10,
	StateSynSent:     30,
	StateSynReceived: 30,
	StateEstablished: 24 * 3600,
	StateFinWait:     120,
	StateCloseWait:   60,
	StateLastAck:     30,
	StateTimeWait:    60,
	StateClosed:      10,
	StateSynSent2:    30,
	StateUDPNew:      30,
	StateUDP:         120,
	StateICMP:        30,
	StateOther:       120,
}

func (t *Timeouts) setDefaults() {
	for i := range t {
		if t[i] == 0 {
			t[i] = defaultTimeouts[i]
		}
	}
}

// tickNanos is the length of a tick.
const tickNanos = int64(time.Second)

// tickOf returns the tick of a time.
func tickOf(now Time) uint32 { return uint32(now / tickNanos) }

// notches is the size of the wheel: a session is looked at once in so many
// ticks at the least, however long its timeout.
const notches = 512

// wheel holds every session in the list of a notch. The notch says when to
// look at the session, its deadline says whether it is dead.
type wheel struct {
	heads [notches]uint32
	tick  uint32 // every notch before this one has been looked at
	begun bool
}

func (w *wheel) init() {
	for i := range w.heads {
		w.heads[i] = none
	}
}

// notch returns where to hold a session that may live until deadline: its own
// notch if the wheel reaches so far, else as far as it does.
func (w *wheel) notch(deadline uint32) uint32 {
	return min(deadline+1, w.tick+notches-1) % notches
}

// add holds session n. Its prev names the session before it in the list, or
// the notch, with the highest bit set.
func (w *wheel) add(t *Table, n, deadline uint32) {
	if !w.begun {
		w.tick, w.begun = deadline-min(deadline, t.cfg.Timeouts[t.sessions[n].state]), true
	}
	at := w.notch(deadline)
	s := &t.sessions[n]
	s.prev, s.next = headMark|at, w.heads[at]
	if s.next != none {
		t.sessions[s.next].prev = n
	}
	w.heads[at] = n
}

// headMark in prev says that the session is the first of the notch in the low
// bits.
const headMark = 1 << 31

// remove takes session n out of its list.
func (w *wheel) remove(t *Table, n uint32) {
	s := &t.sessions[n]
	if s.prev&headMark != 0 {
		w.heads[s.prev&^headMark] = s.next
	} else {
		t.sessions[s.prev].next = s.next
	}
	if s.next != none {
		t.sessions[s.next].prev = s.prev
	}
}

// move holds a session where its deadline now says.
func (w *wheel) move(t *Table, s *Session) {
	n := none
	if s.prev&headMark != 0 {
		n = w.heads[s.prev&^headMark]
	} else {
		n = t.sessions[s.prev].next
	}
	w.remove(t, n)
	w.add(t, n, s.deadline)
}

// Expire removes sessions whose time is over. It looks at no more than budget
// sessions and notches, and goes on where it stopped at the next call; it
// returns how many it removed.
func (t *Table) Expire(now Time, budget int) (removed int) {
	w := &t.wheel
	tick := tickOf(now)
	if !w.begun {
		return 0
	}
	if tick-w.tick > 2*notches && tick > w.tick {
		w.tick = tick - 2*notches // one turn sees every session
	}
	for ; w.tick <= tick && budget > 0; budget-- {
		at := w.tick % notches
		n := w.heads[at]
		if n == none {
			w.tick++
			continue
		}
		s := &t.sessions[n]
		if s.deadline < tick {
			t.stats.Expired++
			t.Remove(s)
			removed++
			continue
		}
		w.remove(t, n)
		w.hold(t, n, s.deadline, tick)
	}
	return removed
}

// hold puts a session that is alive at tick into a notch after it.
func (w *wheel) hold(t *Table, n, deadline, tick uint32) {
	saved := w.tick
	w.tick = tick + 1
	w.add(t, n, max(deadline, tick+1))
	w.tick = saved
}
