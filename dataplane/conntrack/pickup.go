package conntrack

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// Taking up: an endpoint that comes to this host live has connections whose
// beginning another host saw. Who knows that it has come may have them taken up in
// mid-stream; nobody else can, and a table by itself never does (tcp_loose=0).
//
// The handshake is not known, so neither are the window scales, nor what is on its
// way by the old path. Both ends are taken to scale by 14, the most that there is,
// and to be up to takenSlack ahead of what the first segment shows: a legal segment
// is never refused, one that is far off is. A RST still ends the connection only at
// the very byte that the other end has acknowledged.

// takenSlack is how far an end may be from where the first segment shows it, in
// bytes; takenWindow what it may have been offered. Their sum stays under 2^31.
const (
	takenSlack  = 1 << 28
	takenWindow = 1 << 30
)

// MidStream tells whether a packet may be of a TCP connection that is open: ACK,
// with data or without, or FIN with ACK.
func MidStream(f *packet.Frame) bool {
	if f.Headers.Key.Proto != packet.ProtoTCP {
		return false
	}
	k := kinds[f.Headers.TCPFlags&63]
	return k == kindAck || k == kindFin
}

// PickUp makes a session of a packet of an open connection (MidStream) that belongs
// to none, as Open does of the first of a new one; d is the direction that the
// packet goes in, by who opened the connection. It is charged to the packet's port,
// and counts as answered: only the port's bound on sessions bounds it.
func (t *Table) PickUp(f *packet.Frame, d Direction, hash uint64, now Time) (*Session, drop.Reason) {
	t.own.Enter()
	defer t.own.Leave()
	if !MidStream(f) {
		return nil, drop.TCPNoSession
	}
	row, at, reason := t.admit(f.Ingress, hash, now)
	if reason != drop.None {
		return nil, reason
	}
	d &= 1
	s := &t.rows[row]
	*s = Session{Key: f.Headers.Key, owner: f.Ingress, place: at}
	if d == Reply {
		s.Key = s.Key.Reverse()
	}
	s.takeUp(d, f)
	s.count(d, f.Len())
	s.deadline = tickOf(now) + t.timeouts[s.state]
	t.hold(row, s.deadline)
	t.charge(row)
	t.hatch(row)
	t.sealRow(row)
	t.stats.Opened++
	return s, drop.None
}

// takeUp gives a session the state that a segment in mid-stream shows.
func (s *Session) takeUp(d Direction, f *packet.Frame) {
	var g segment
	g.read(f)
	s.state = transitions[d][kinds[f.Headers.TCPFlags&63]][StateEstablished]
	s.scales = maxScale | maxScale<<4
	s.flags = flagScale | flagScale<<1 | flagAckSeen<<d
	if d == Reply {
		s.flags |= flagAnswered
	}
	s.windows[d] = window{end: g.end + takenSlack, maxEnd: g.end + takenWindow, maxWin: takenWindow, maxAck: g.ack}
	s.windows[1-d] = window{end: g.ack + takenSlack, maxEnd: g.ack + takenWindow, maxWin: takenWindow}
}
