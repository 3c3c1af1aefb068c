package conntrack

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Advance takes a packet of a session on: is it legal here, what does it
// change, how long may the session now be silent. A packet that is not legal
// is refused and changes nothing.
func (t *Table) Advance(s *Session, d Direction, f *packet.Frame, now Time) drop.Reason {
	d &= 1
	h := &f.Headers
	refresh := true
	switch s.state {
	case StateUDPNew:
		if d == Reply {
			t.answered(s)
			t.enter(s, StateUDP, now)
		}
	case StateUDP:
	case StateICMP:
		if !echoDirection(h, d) {
			return drop.ICMPUnmatched
		}
		if d == Reply {
			t.answered(s)
		}
	case StateOther:
		if d == Reply {
			t.answered(s)
		}
	default:
		changed, reason := t.advanceTCP(s, d, f, now)
		if reason != drop.None {
			return reason
		}
		refresh = changed
	}
	s.bytes[d] += uint64(f.Len())
	s.packets[d]++
	if refresh {
		// At most one store a tick: the line stays clean in between.
		if deadline := tickOf(now) + t.cfg.Timeouts[s.state]; deadline != s.deadline {
			s.deadline = deadline
		}
	}
	return drop.None
}

// answered notes that the other end has spoken: the session is no longer
// embryonic.
func (t *Table) answered(s *Session) {
	if s.flags&flagAnswered == 0 {
		s.flags |= flagAnswered
		t.ports[s.owner].embryonic--
	}
}

// enter puts a session into a state. When that may be silent for less time
// than the one before, the wheel must come by sooner.
func (t *Table) enter(s *Session, state State, now Time) {
	sooner := t.cfg.Timeouts[state] < t.cfg.Timeouts[s.state]
	s.state = state
	if sooner {
		s.deadline = tickOf(now) + t.cfg.Timeouts[state]
		t.wheel.move(t, s)
	}
}

// echoDirection tells whether an ICMP message goes the way it must: requests
// from who opened the session, replies from the other end.
func echoDirection(h *packet.Headers, d Direction) bool {
	switch {
	case h.Key.Proto == packet.ProtoICMP && h.ICMPType == packet.ICMPEchoReply,
		h.Key.Proto == packet.ProtoICMPv6 && h.ICMPType == packet.ICMPv6EchoReply:
		return d == Reply
	}
	return d == Original
}

// advanceTCP takes a TCP segment on. changed is false where the segment may
// pass but proves nothing about the connection, and so does not lengthen its
// life.
func (t *Table) advanceTCP(s *Session, d Direction, f *packet.Frame, now Time) (changed bool, reason drop.Reason) {
	ev := event(f.Headers.TCPFlags)
	if ev == evIllegal || s.state >= State(len(transition[0][0])) {
		return false, drop.TCPInvalid
	}
	next := transition[d][ev][s.state]
	seg := segmentOf(f)
	us, them := &s.ends[d], &s.ends[1-d]
	switch {
	case next == invalid:
		return false, drop.TCPInvalid
	case next == ignore:
		return false, drop.None
	case ev == evSyn && (s.state == StateTimeWait || s.state == StateClosed):
		return t.reopen(s, f, now)
	case us.maxWin == 0:
		return t.firstOf(s, d, ev, next, &seg, f, now)
	case ev == evSynAck && s.state == StateSynReceived, ev == evSyn:
		us.advance(&seg, them) // sent again
		return true, drop.None
	case !us.inWindow(&seg, them):
		return false, drop.TCPInvalid
	}
	us.advance(&seg, them)
	if d == Original && ev == evAck && s.state == StateSynReceived {
		t.answered(s)
	}
	if next != s.state {
		t.enter(s, next, now)
	}
	return true, drop.None
}

// firstOf takes the first segment of the end that did not open the session: a
// SYN with ACK, a SYN of its own, or a refusal. It must acknowledge exactly
// what was sent.
func (t *Table) firstOf(s *Session, d Direction, ev tcpEvent, next State, seg *segment, f *packet.Frame, now Time) (bool, drop.Reason) {
	us, them := &s.ends[d], &s.ends[1-d]
	if seg.hasAck && seg.ack != them.end {
		return false, drop.TCPInvalid
	}
	switch ev {
	case evSyn, evSynAck:
		us.begin(seg, f)
		if us.flags&them.flags&windowScales == 0 {
			us.scale, them.scale = 0, 0
		}
		us.advance(seg, them)
	case evReset:
		if !seg.hasAck {
			return false, drop.TCPInvalid
		}
	default:
		return false, drop.TCPInvalid
	}
	t.enter(s, next, now)
	return true, drop.None
}

// reopen begins a finished connection anew, from whichever end sends the SYN:
// the policy has judged the session's own direction only, so the other end
// must come as a stranger.
func (t *Table) reopen(s *Session, f *packet.Frame, now Time) (bool, drop.Reason) {
	if f.Headers.Key != s.Key {
		return false, drop.TCPInvalid
	}
	if c := &t.ports[s.owner]; s.flags&flagAnswered != 0 {
		if c.embryonic >= t.cfg.EmbryonicQuota {
			return false, drop.SessionQuota
		}
		c.embryonic++
		s.flags &^= flagAnswered
	}
	seg := segmentOf(f)
	s.ends = [2]window{}
	s.ends[Original].begin(&seg, f)
	t.enter(s, StateSynSent, now)
	return true, drop.None
}
