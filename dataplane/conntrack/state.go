package conntrack

import "time"

// State is how far a session is.
type State uint8

// The states. TCP's come first, as a box in the middle sees them (RFC 9293
// 3.3.2; the names are those of nf_conntrack where the RFC has none).
const (
	StateNone        State = iota // no session
	StateSynSent                  // SYN seen
	StateSynReceived              // SYN and its SYN-ACK seen
	StateEstablished              // the handshake is complete
	StateFinWait                  // one FIN seen
	StateCloseWait                // and acknowledged: half closed
	StateLastAck                  // both FINs seen
	StateTimeWait                 // and both acknowledged
	StateClosed                   // reset
	StateSynSent2                 // SYNs from both ends: simultaneous open
	StateUnanswered               // UDP and others: one end has spoken
	StateAnswered                 // UDP and others: both have
	StateEcho                     // ICMP echo or timestamp
	stateCount

	tcpStates = StateSynSent2 + 1
)

var stateNames = [stateCount]string{
	"none", "syn-sent", "syn-received", "established", "fin-wait", "close-wait",
	"last-ack", "time-wait", "closed", "syn-sent-2", "unanswered", "answered", "echo",
}

// String names the state.
func (s State) String() string {
	if s >= stateCount {
		return "invalid"
	}
	return stateNames[s]
}

// Timeouts is how long a session in each State may be silent. Zero stands for
// the default.
type Timeouts [stateCount]time.Duration

// DefaultTimeouts are those of Linux nf_conntrack where these agree with the
// bounds below. Half-open sessions go after 30 s, so that a port is usable
// again 35 s after a flood. An open connection may be silent for 2 h 4 min,
// the least that RFC 5382 REQ-5 allows: keep-alive, every two hours by default,
// just holds it; a day, as elsewhere, holds the sessions of dead hosts.
var DefaultTimeouts = Timeouts{
	StateSynSent:     30 * time.Second,
	StateSynReceived: 30 * time.Second,
	StateEstablished: 2*time.Hour + 4*time.Minute,
	StateFinWait:     120 * time.Second,
	StateCloseWait:   120 * time.Second,
	StateLastAck:     30 * time.Second,
	StateTimeWait:    60 * time.Second,
	StateClosed:      10 * time.Second,
	StateSynSent2:    30 * time.Second,
	StateUnanswered:  30 * time.Second,
	StateAnswered:    120 * time.Second,
	StateEcho:        10 * time.Second,
}

// maxTimeout bounds a timeout, in ticks: about four years.
const maxTimeout = 1 << 30

// ticks returns the timeouts in ticks, rounded up and one more, so that none
// ends early for having begun late in its first tick.
func (t Timeouts) ticks() (n [stateCount]uint32) {
	for state, d := range t {
		if d <= 0 {
			d = DefaultTimeouts[state]
		}
		n[state] = uint32(min((int64(d)+1<<tickShift-1)>>tickShift, maxTimeout)) + 1
	}
	return n
}
