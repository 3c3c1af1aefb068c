package conntrack

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Advance takes a session on by a packet of it, which goes in direction d: is
// it legal here, what does it change, how long may the session now be silent.
// An illegal packet changes nothing. The packet's checksum must be right, or
// vouched for, since what it says is believed.
func (t *Table) Advance(s *Session, d Direction, f *packet.Frame, now Time) drop.Reason {
	t.own.Enter()
	reason := drop.None
	switch d &= 1; {
	case s.state >= tcpStates:
		reason = t.advanceOther(s, d, f, now)
	case f.Headers.TCPFlags&packet.TCPSyn != 0:
		reason = t.advanceSYN(s, d, f, now)
	default:
		reason = t.advanceTCP(s, d, f, now)
	}
	t.own.Leave() // not deferred: that costs every packet 2 ns
	return reason
}

// advanceOther is Advance for what has no states of its own: queries and answers.
func (t *Table) advanceOther(s *Session, d Direction, f *packet.Frame, now Time) drop.Reason {
	if s.state == StateEcho && !s.echoLegal(d, f.Headers.ICMPType) {
		return drop.ICMPUnmatched
	}
	if d == Reply && s.flags&flagAnswered == 0 {
		t.answered(s)
	}
	s.count(d, f.Len())
	t.refresh(s, tickOf(now))
	return drop.None
}

// answered notes the first packet of the other end.
func (t *Table) answered(s *Session) {
	s.flags |= flagAnswered
	if s.state == StateUnanswered {
		s.state = StateAnswered
	}
	t.hatch(t.index.Row(s.place))
}

// echoLegal tells whether an ICMP message goes the way it must: the request
// that opened the session from who opened it, its answer from the other end.
func (s *Session) echoLegal(d Direction, icmpType uint8) bool {
	if d == Original {
		return icmpType == s.aux
	}
	answer, _ := answerTo(s.Key.Proto, s.aux)
	return icmpType == answer
}

// answerTo returns the ICMP type that answers a request; asks is false if the
// type is no request that is answered by its sender's identifier (RFC 792,
// RFC 4443 4).
func answerTo(proto, icmpType uint8) (answer uint8, asks bool) {
	switch {
	case proto == packet.ProtoICMP && icmpType == packet.ICMPEchoRequest:
		return packet.ICMPEchoReply, true
	case proto == packet.ProtoICMP && icmpType == packet.ICMPTimestamp:
		return packet.ICMPTimestampReply, true
	case proto == packet.ProtoICMPv6 && icmpType == packet.ICMPv6EchoRequest:
		return packet.ICMPv6EchoReply, true
	}
	return 0, false
}
