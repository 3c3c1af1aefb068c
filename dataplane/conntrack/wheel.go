package conntrack

// tickShift makes ticks of nanoseconds: 1<<27 ns are 134 ms. Ticks count in 32
// bits, for 18 years.
const tickShift = 27

// tickOf returns the tick of a time.
func tickOf(now Time) uint32 { return uint32(now >> tickShift) }

// wheelSlots is the horizon of the wheel in ticks: 137 s.
const wheelSlots = 1024

// wheel holds every session in the list of the tick at which to look at it:
// its deadline, or the horizon if that is nearer. The lists are doubly linked
// (links.next, links.prev), so that a session leaves in the middle.
type wheel struct {
	heads [wheelSlots]uint32 // row numbers plus one
	next  uint32             // the tick to look at next
}

// hold puts a row where it is to be looked at for that deadline. The slot
// being emptied is never one it may go to: that would be looked at for ever.
func (t *Table) hold(row, deadline uint32) {
	w := &t.wheel
	slot := w.slot(deadline)
	head := w.heads[slot]
	t.rows[row].queued = slot
	t.links[row].next, t.links[row].prev = head, 0
	if head != 0 {
		t.links[head-1].prev = row + 1
	}
	w.heads[slot] = row + 1
}

// slot returns the slot for a deadline. Both are counted from the tick to be
// looked at next, so a wheel that lags behind the clock is no exception.
func (w *wheel) slot(deadline uint32) uint16 {
	ahead := int32(deadline - w.next)
	return uint16((w.next + uint32(min(max(ahead, 0), wheelSlots-2))) % wheelSlots)
}

// release takes a row out of the wheel.
func (t *Table) release(row uint32) {
	l := &t.links[row]
	if l.prev != 0 {
		t.links[l.prev-1].next = l.next
	} else {
		t.wheel.heads[t.rows[row].queued] = l.next
	}
	if l.next != 0 {
		t.links[l.next-1].prev = l.prev
	}
}

// refresh lets a session live for its state's timeout from now. The wheel need
// not know unless it would come too late. In one tick only the first call
// writes, so the line mostly stays clean.
func (t *Table) refresh(s *Session, tick uint32) {
	deadline := tick + t.timeouts[s.state]
	if deadline == s.deadline {
		return
	}
	sooner := deadline < s.deadline
	s.deadline = deadline
	if sooner {
		t.hasten(s)
	}
}

// hasten moves a session in the wheel if it waits at a tick after its deadline.
func (t *Table) hasten(s *Session) {
	w := &t.wheel
	waits := (uint32(s.queued) - w.next) % wheelSlots
	if int32(s.deadline-w.next) >= int32(waits) {
		return
	}
	row := t.index.Row(s.place)
	t.release(row)
	t.hold(row, s.deadline)
}

// Expire removes sessions whose time is over, and returns how many. It takes
// at most budget steps, each a session looked at or a tick without any left,
// and goes on from there at the next call: call it once a batch. Behind by
// more than a turn, as after a long sleep, it makes one turn, which meets every
// session.
func (t *Table) Expire(now Time, budget int) (expired int) {
	t.own.Enter()
	defer t.own.Leave()
	w := &t.wheel
	tick := tickOf(now)
	if int32(tick-w.next) >= wheelSlots {
		w.next = tick - wheelSlots + 1
	}
	for ; budget > 0 && int32(tick-w.next) >= 0; budget-- {
		head := w.heads[w.next%wheelSlots]
		if head == 0 {
			w.next++
			continue
		}
		row := head - 1
		if t.rows[row].deadline <= tick {
			t.stats.Expired++
			t.drop(row)
			expired++
			continue
		}
		t.requeue(row)
	}
	return expired
}

// requeue puts a session that is alive further on.
func (t *Table) requeue(row uint32) {
	t.release(row)
	t.wheel.next++ // the slot being emptied is now the furthest, not the next
	t.hold(row, t.rows[row].deadline)
	t.wheel.next--
}
