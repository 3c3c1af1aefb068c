package conntrack

import (
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// kind is what a segment's flags say.
type kind uint8

const (
	kindSyn kind = iota
	kindSynAck
	kindFin // FIN with ACK
	kindAck // ACK alone
	kindRst // RST, with or without ACK
	kindIllegal
	kindCount
)

// kinds sorts the flags FIN, SYN, RST, PSH, ACK, URG. Every combination that is
// not named is one that no stack sends and scanners do: none at all, FIN, URG
// or PSH without ACK, SYN or RST together with FIN or with each other.
var kinds = func() (k [64]kind) {
	for flags := range k {
		k[flags] = kindOf(flags)
	}
	return k
}()

func kindOf(flags int) kind {
	const ack, urg = packet.TCPAckFlag, packet.TCPUrg
	switch flags &^ packet.TCPPsh {
	case packet.TCPSyn:
		return kindSyn
	case packet.TCPSyn | ack:
		return kindSynAck
	case packet.TCPFin | ack, packet.TCPFin | ack | urg:
		return kindFin
	case ack, ack | urg:
		return kindAck
	case packet.TCPRst, packet.TCPRst | ack:
		return kindRst
	}
	return kindIllegal
}

// opensTCP tells whether a segment with these flags may open a session.
func opensTCP(flags uint8) drop.Reason {
	switch kinds[flags&63] {
	case kindSyn:
		return drop.None
	case kindIllegal:
		return drop.TCPInvalid
	}
	return drop.TCPNoSession
}

// The states, short, and two outcomes that are none.
const (
	sNO = StateNone
	sSS = StateSynSent
	sSR = StateSynReceived
	sES = StateEstablished
	sFW = StateFinWait
	sCW = StateCloseWait
	sLA = StateLastAck
	sTW = StateTimeWait
	sCL = StateClosed
	sS2 = StateSynSent2
	sIV = stateCount     // illegal: drop
	sIG = stateCount + 1 // passes, and proves nothing
)

// transitions is the state machine of nf_conntrack: the state after a segment
// of that kind in that direction. From inside a connection (SYN-ACK seen, to
// LAST-ACK) a SYN of the client passes without effect: the client may have
// forgotten, and only the server knows (it answers with a SYN-ACK, or a
// challenge ACK, RFC 5961 4). In TIME-WAIT it opens the connection anew.
//
//	        syn            syn-ack         ack
//	( ) ────────▶ SYN-SENT ──────▶ SYN-RCVD ──────▶ ESTABLISHED
//	                 │ syn of the other end ▲            │ fin
//	                 ▼          syn-ack     │            ▼
//	             SYN-SENT-2 ────────────────┘         FIN-WAIT ──┐ fin
//	                                                ack  │       │
//	          rst, from all of them: CLOSED              ▼       ▼
//	                                 TIME-WAIT ◀── LAST-ACK ◀─ CLOSE-WAIT
//	                                           ack          fin
//
// A RST of a client whose SYN is not answered is one that no stack sends, which
// has nothing to reset; nf_conntrack calls one without ACK invalid.
var transitions = [2][kindCount][tcpStates]State{
	Original: {
		//            sNO  sSS  sSR  sES  sFW  sCW  sLA  sTW  sCL  sS2
		kindSyn:     {sSS, sSS, sIG, sIG, sIG, sIG, sIG, sSS, sSS, sS2},
		kindSynAck:  {sIV, sIV, sSR, sIV, sIV, sIV, sIV, sIV, sIV, sSR},
		kindFin:     {sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV},
		kindAck:     {sIV, sIV, sES, sES, sCW, sCW, sTW, sTW, sCL, sIV},
		kindRst:     {sIV, sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL},
		kindIllegal: {sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV},
	},
	Reply: {
		//            sNO  sSS  sSR  sES  sFW  sCW  sLA  sTW  sCL  sS2
		kindSyn:     {sIV, sS2, sIV, sIV, sIV, sIV, sIV, sSS, sIV, sS2},
		kindSynAck:  {sIV, sSR, sIG, sIG, sIG, sIG, sIG, sIG, sIG, sSR},
		kindFin:     {sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV},
		kindAck:     {sIV, sIG, sSR, sES, sCW, sCW, sTW, sTW, sCL, sIG},
		kindRst:     {sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL},
		kindIllegal: {sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV},
	},
}

// advanceTCP is Advance for TCP.
func (t *Table) advanceTCP(s *Session, d Direction, f *packet.Frame, now Time) drop.Reason {
	k := kinds[f.Headers.TCPFlags&63]
	next := transitions[d][k][s.state%tcpStates]
	var g segment
	g.read(f)
	switch {
	case next == sIV:
		return drop.TCPInvalid
	case next == sIG && !s.resync(d, k, &g):
		s.noteLateSYN(d, k, &g, f)
		s.count(d, f.Len())
		return drop.None
	case next == sIG:
		next = StateSynReceived
	case next == StateSynSent && s.state >= StateTimeWait:
		return t.reopen(s, d, &g, f, now)
	case k == kindRst:
		return t.reset(s, d, &g, f, now)
	case next == StateTimeWait && s.state == StateLastAck && d == Reply && s.flags&flagLateSYN != 0:
		// A challenge ACK to that SYN acknowledges no FIN.
		s.flags &^= flagLateSYN
		s.count(d, f.Len())
		return drop.None
	}
	if !s.inWindow(d, &g, f) {
		return drop.TCPInvalid
	}
	if s.flags&flagLateSYN != 0 {
		s.flags &^= flagLateSYN
	}
	if d == Reply {
		s.flags |= flagAnswered
	}
	s.count(d, f.Len())
	if next != s.state {
		t.enter(s, next)
	}
	t.refresh(s, tickOf(now))
	return drop.None
}

// enter puts a session into a state. Once the handshake is complete it is no
// longer embryonic; by a reset in the middle of it, it stays so.
func (t *Table) enter(s *Session, next State) {
	s.state = next
	if next >= StateEstablished && next <= StateTimeWait && s.flags&flagEmbryonic != 0 {
		t.hatch(t.index.Row(s.place))
	}
}

// reset takes a RST. It must be in the window, and not before what the other
// end has acknowledged. It ends an open connection only at the sequence number
// that the other end waits for, or right behind what was sent last; elsewhere
// in the window it passes, so that the other end can challenge it (RFC 5961
// 3.2), and the session stays as it is.
func (t *Table) reset(s *Session, d Direction, g *segment, f *packet.Frame, now Time) drop.Reason {
	snd, rcv := &s.windows[d], &s.windows[1-d]
	expected := s.flags&(flagAckSeen<<(1-d)) != 0 && !(g.seq == 0 && s.state != StateEstablished)
	if expected && before(g.seq, rcv.maxAck) || snd.maxWin == 0 && !g.hasAck() || !s.inWindow(d, g, f) {
		return drop.TCPInvalid
	}
	s.count(d, f.Len())
	if expected && s.state == StateEstablished && g.seq != rcv.maxAck && g.seq != snd.end {
		return drop.None
	}
	t.enter(s, StateClosed)
	t.refresh(s, tickOf(now))
	return drop.None
}

// noteLateSYN remembers a SYN that the client sent into an open connection, so
// that the server's answer to it can be told from noise.
func (s *Session) noteLateSYN(d Direction, k kind, g *segment, f *packet.Frame) {
	if d == Original && k == kindSyn {
		s.flags |= flagLateSYN
		s.lateEnd = g.end
		s.aux = noScale
		if shift, offered := windowScale(f); offered {
			s.aux = shift
		}
	}
}

// noScale in Session.aux says that the late SYN offered no window scale.
const noScale = 0xff

// resync begins the windows anew when the server answers a late SYN with a
// SYN-ACK: both ends agree that the connection that we knew is gone, and on
// what comes instead.
func (s *Session) resync(d Direction, k kind, g *segment) bool {
	if d != Reply || k != kindSynAck || s.flags&flagLateSYN == 0 || g.ack != s.lateEnd {
		return false
	}
	s.flags &^= flagLateSYN | flagAckSeen | flagAckSeen<<1 | flagScale | flagScale<<1
	s.scales = 0
	// The client's next segment tells its window; until then nothing is sent to it.
	s.windows = [2]window{Original: {end: s.lateEnd, maxEnd: s.lateEnd, maxWin: 1}}
	if s.aux != noScale {
		s.flags |= flagScale
		s.scales = s.aux
	}
	return true
}

// reopen begins a finished connection anew. In the session's own direction the
// policy's answer still holds, so it is done in place. A SYN of the other end
// asks for a connection that nobody has judged: the session goes, the SYN is a
// stranger's, and if the caller has not asked Renews it is dropped here, to
// be sent again.
func (t *Table) reopen(s *Session, d Direction, g *segment, f *packet.Frame, now Time) drop.Reason {
	if d == Reply {
		t.Remove(s)
		return drop.TCPNoSession
	}
	row := t.index.Row(s.place)
	if a := &t.ports[s.owner]; s.flags&flagEmbryonic == 0 {
		if a.embryonic >= a.embryonicQuota && !t.evictOldest(a) {
			return drop.SessionQuota
		}
		t.incubate(row)
	}
	s.flags &= flagEmbryonic
	s.scales = 0
	s.windows = [2]window{}
	s.start(Original, g, f)
	s.state = StateSynSent
	s.count(d, f.Len())
	t.refresh(s, tickOf(now))
	return drop.None
}

// Renews tells whether a packet of a session begins another connection in its
// stead, which the policy must judge: a SYN of the other end once the
// connection is finished. The packet is then a stranger's; who asks and hears
// yes removes the session before it opens another.
func (t *Table) Renews(s *Session, d Direction, f *packet.Frame) bool {
	return d == Reply && s.state == StateTimeWait && kinds[f.Headers.TCPFlags&63] == kindSyn
}
