package conntrack

import "bulkhead/dataplane/packet"

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

// Session is one flow, both ways. The walk reads and writes Generation and
// Rule; the rest is the table's. A *Session is good until the next call of
// any method of its Table.
type Session struct {
	// The hot line.

	Key        packet.Key // as opened
	Generation uint32     // of the snapshot that judged it last
	Rule       uint32     // the rule that allowed it, plus one
	hash       uint64
	deadline   uint32 // in ticks; past it the session is dead
	owner      packet.PortID
	state      State
	flags      uint8

	// The cold line.

	bytes   [2]uint64 // by Direction
	packets [2]uint32 // superframes count as one; wraps
	ends    [2]window
	next    uint32 // in its notch of the wheel, or in the free list
	prev    uint32
}

const (
	flagLive     = 1 << iota // the slot is in use
	flagAnswered             // the other end has spoken
)

// State is how far a session is.
type State uint8

// The states. TCP's are those of RFC 9293 3.3.2 as a middle box sees them.
const (
	StateNone        State = iota
	StateSynSent           // SYN seen
	StateSynReceived       // SYN and ACK seen
	StateEstablished
	StateFinWait
	StateCloseWait
	StateLastAck
	StateTimeWait
	StateClosed   // by a reset
	StateSynSent2 // SYNs from both ends (simultaneous open)
	StateUDPNew   // one end has spoken
	StateUDP      // both have
	StateICMP
	StateOther // a protocol without ports
	stateCount
)

var stateNames = [stateCount]string{
	"none", "syn-sent", "syn-received", "established", "fin-wait", "close-wait",
	"last-ack", "time-wait", "closed", "syn-sent-2", "udp-new", "udp", "icmp", "other",
}

// String names the state.
func (s State) String() string {
	if s >= stateCount {
		return "invalid"
	}
	return stateNames[s]
}

// State returns how far the session is.
func (s *Session) State() State { return s.state }

// Answered tells whether the other end has spoken.
func (s *Session) Answered() bool { return s.flags&flagAnswered != 0 }

// Owner is the port that opened the session, and is charged with it.
func (s *Session) Owner() packet.PortID { return s.owner }

// Traffic returns frames and bytes of one direction.
func (s *Session) Traffic(d Direction) (packets uint32, bytes uint64) {
	return s.packets[d&1], s.bytes[d&1]
}
