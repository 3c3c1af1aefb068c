package conntrack

import (
	"encoding/binary"

	"bulkhead/dataplane/packet"
)

// ICMPError finds the session of the packet that an ICMP error quotes: the one
// in f.Headers.Inner, whose hash is given. It returns nil unless the quoted
// packet is one that its sender may have had under way: of a live session,
// with eight bytes of transport header at least, in the window if it is TCP
// (RFC 5927 4), a request or answer in its own direction if it is ICMP, and of
// an end that has spoken at all. That the error goes to who sent the quoted packet is for the caller to check.
//
// The session is not changed by it: an error neither refreshes nor ends it.
func (t *Table) ICMPError(f *packet.Frame, hash uint64, now Time) *Session {
	h := &f.Headers
	if uint32(h.InnerL4)+8 > h.PacketEnd {
		return nil
	}
	quoted := f.Bytes()[h.InnerL4:h.PacketEnd]
	s, d := t.Find(&h.Inner, hash, now)
	switch {
	case s == nil:
		return nil
	case s.state < tcpStates:
		if !s.underWay(d, binary.BigEndian.Uint32(quoted[4:8])) {
			return nil
		}
	case d == Reply && s.flags&flagAnswered == 0:
		return nil // it has not sent anything
	case s.state == StateEcho && !s.echoLegal(d, quoted[0]):
		return nil
	}
	return s
}

// underWay tells whether a segment that d's end may have sent, and whose
// acknowledgement may not have come by, begins at seq: SND.UNA =< seq =<
// SND.NXT. It may be equal to the latter because an ACK without data can meet
// an error, too.
func (s *Session) underWay(d Direction, seq uint32) bool {
	snd, rcv := &s.windows[d], &s.windows[1-d]
	if snd.maxWin == 0 || after(seq, snd.end) {
		return false // it has not sent anything, or not that far
	}
	if s.flags&(flagAckSeen<<(1-d)) != 0 {
		return !before(seq, rcv.maxAck)
	}
	return !before(seq, snd.end-max(rcv.maxWin, ackWindow))
}
