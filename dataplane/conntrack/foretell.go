package conntrack

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Foretell says what Advance would say of a packet of a session, and changes
// nothing: it is Advance itself, on a copy of the session and with a table that
// holds nothing. The copy is made so that Advance looks for nothing there. What
// it does not foretell is session-quota, for a finished connection that begins
// anew: that depends on what else the port has open.
func (t *Table) Foretell(s *Session, d Direction, f *packet.Frame) drop.Reason {
	d &= 1
	switch {
	case t.Renews(s, d, f):
		return drop.TCPNoSession
	case s.reopens(d, f):
		return drop.None
	}
	c := *s
	c.deadline = 0 // any other is later: nothing to move in the wheel
	c.flags = c.flags&^flagEmbryonic | flagAnswered
	nobody := Table{timeouts: t.timeouts}
	return nobody.Advance(&c, d, f, 0)
}

// reopens tells whether a packet is the SYN that begins a finished connection
// anew in its own direction.
func (s *Session) reopens(d Direction, f *packet.Frame) bool {
	return d == Original && (s.state == StateTimeWait || s.state == StateClosed) && kinds[f.Headers.TCPFlags&63] == kindSyn
}
