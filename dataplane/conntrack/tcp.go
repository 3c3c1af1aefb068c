package conntrack

import "bulkhead/dataplane/packet"

// tcpEvent is what a segment's flags are to the state machine.
type tcpEvent uint8

const (
	evSyn tcpEvent = iota
	evSynAck
	evFin
	evAck
	evReset
	evCount
	evIllegal
)

// event sorts the flags. Combinations that no stack sends (none, SYN with FIN
// or RST, FIN or URG or PSH without ACK, RST with FIN) are illegal: they are
// how scanners look behind filters.
func event(flags uint8) tcpEvent {
	const (
		fin, syn, rst = packet.TCPFin, packet.TCPSyn, packet.TCPRst
		ack           = packet.TCPAckFlag
	)
	switch flags & (fin | syn | rst | ack) {
	case syn:
		if flags&packet.TCPUrg != 0 && flags&packet.TCPPsh != 0 {
			return evIllegal
		}
		return evSyn
	case syn | ack:
		return evSynAck
	case fin | ack:
		return evFin
	case ack:
		return evAck
	case rst, rst | ack:
		return evReset
	}
	return evIllegal
}

// Two answers of the table that are no states.
const (
	invalid State = 255 // the segment is illegal here
	ignore  State = 254 // it passes, and changes nothing
)

// transition[direction][event][state] is the state after a legal segment. The
// columns are the TCP states from None to SynSent2.
//
// A SYN in a connection that is open passes unchanged: the other end answers
// it with a challenge ACK (RFC 5961 4), and resets it if it knows better. One
// that meets a finished connection opens a new one. ACKs move FIN on as the
// RFC draws it, seen from between.
var transition = [2][evCount][10]State{
	Original: {
		//         None     SynSent       SynRcvd           Established       FinWait         CloseWait       LastAck        TimeWait       Closed        SynSent2
		evSyn:    {invalid, StateSynSent, ignore, ignore, ignore, ignore, ignore, StateSynSent, StateSynSent, StateSynSent2},
		evSynAck: {invalid, invalid, StateSynReceived, invalid, invalid, invalid, invalid, invalid, invalid, StateSynReceived},
		evFin:    {invalid, invalid, StateFinWait, StateFinWait, StateLastAck, StateLastAck, StateLastAck, StateTimeWait, StateClosed, invalid},
		evAck:    {invalid, invalid, StateEstablished, StateEstablished, StateCloseWait, StateCloseWait, StateTimeWait, StateTimeWait, StateClosed, invalid},
		evReset:  {invalid, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed},
	},
	Reply: {
		evSyn:    {invalid, StateSynSent2, invalid, ignore, ignore, ignore, ignore, ignore, invalid, StateSynSent2},
		evSynAck: {invalid, StateSynReceived, ignore, ignore, ignore, ignore, ignore, ignore, ignore, StateSynReceived},
		evFin:    {invalid, invalid, StateFinWait, StateFinWait, StateLastAck, StateLastAck, StateLastAck, StateTimeWait, StateClosed, invalid},
		evAck:    {invalid, ignore, StateSynReceived, StateEstablished, StateCloseWait, StateCloseWait, StateTimeWait, StateTimeWait, StateClosed, ignore},
		evReset:  {invalid, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed, StateClosed},
	},
}
