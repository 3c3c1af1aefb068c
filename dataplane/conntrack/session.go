package conntrack

import (
	"bulkhead/dataplane/internal/hashtab"
	"bulkhead/dataplane/packet"
)

// Direction is which way a packet of a session goes.
type Direction uint8

const (
	// Original is the direction of the packet that opened the session.
	Original Direction = iota
	// Reply is the other one.
	Reply
)

// String names the direction.
func (d Direction) String() string {
	if d == Original {
		return "original direction"
	}
	return "reply direction"
}

// Session is one flow, both ways. Its user reads and writes Generation and
// Rule, and reads Key; the rest is the table's.
type Session struct {
	// The hot line: every packet of the session reads it.

	Key        packet.Key    // in the original direction
	Generation uint32        // of the policy that judged it last
	Rule       uint32        // the rule that allowed it, plus one
	deadline   uint32        // the tick from which on it is dead
	place      hashtab.Place // where the index names it
	owner      packet.PortID // who is charged
	queued     uint16        // the slot of the wheel that holds it
	state      State         // StateNone: the row is free
	flags      uint8
	scales     uint8 // TCP: window shift of Original in the low nibble, Reply in the high
	aux        uint8 // TCP: the shift of a late SYN; StateEcho: the ICMP type that opened it

	// The cold line: counters, and what only TCP needs.

	windows     [2]window // by Direction
	bytes       [2]uint64
	packetsLow  [2]uint32
	packetsHigh [2]uint16
	lateEnd     uint32 // flagLateSYN: the sequence number after that SYN
}

// Flags of a session. Those of a direction are shifted left by it.
const (
	flagAckSeen   = 1 << 0 // TCP: maxAck of Original is valid; << 1: of Reply
	flagScale     = 1 << 2 // TCP: Original offered a window scale; << 1: Reply
	flagEmbryonic = 1 << 4 // counted, and listed, as embryonic
	flagLateSYN   = 1 << 5 // TCP: Original sent a SYN into an open connection
	flagAnswered  = 1 << 6 // Reply has spoken
	flagTagged    = 1 << 7 // it has a tag
)

// State returns how far the session is.
func (s *Session) State() State { return s.state }

// Owner returns the port that opened the session and is charged with it.
func (s *Session) Owner() packet.PortID { return s.owner }

// ICMPType returns the type of the ICMP query that opened the session; 0 of any other.
func (s *Session) ICMPType() uint8 {
	if s.state != StateEcho {
		return 0
	}
	return s.aux
}

// Embryonic tells whether the session may be evicted for a new one of its
// port: the other end has not answered it, or with a refusal.
func (s *Session) Embryonic() bool { return s.flags&flagEmbryonic != 0 }

// Answered tells whether the other end has spoken.
func (s *Session) Answered() bool { return s.flags&flagAnswered != 0 }

// Traffic returns the frames and bytes that have passed in one direction. A
// superframe is one frame. Frames count up to 1<<48.
func (s *Session) Traffic(d Direction) (frames, bytes uint64) {
	d &= 1
	return uint64(s.packetsHigh[d])<<32 | uint64(s.packetsLow[d]), s.bytes[d]
}

// count books a frame that passes.
func (s *Session) count(d Direction, bytes int) {
	d &= 1
	s.bytes[d] += uint64(bytes)
	if s.packetsLow[d]++; s.packetsLow[d] == 0 {
		s.packetsHigh[d]++
	}
}

// is tells whether the key is the session's, and in which direction.
func (s *Session) is(k *packet.Key) (Direction, bool) {
	a := &s.Key
	if a.Zone != k.Zone || a.Proto != k.Proto || a.Query != k.Query {
		return Original, false
	}
	if a.SrcPort == k.SrcPort && a.DstPort == k.DstPort && a.Src == k.Src && a.Dst == k.Dst {
		return Original, true
	}
	return Reply, a.SrcPort == k.DstPort && a.DstPort == k.SrcPort && a.Src == k.Dst && a.Dst == k.Src
}
