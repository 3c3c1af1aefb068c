package conntrack

import "bulkhead/dataplane/packet"

// window is what is known of one end's sending (G. van Rooij, "Real Stateful
// TCP Packet Filtering in IP Filter", 2000, as in nf_conntrack). Let S send to
// R; a segment is legal if
//
//	I    seq <= S.maxEnd                         no more than R allows
//	II   end >= S.end - R.maxWin                 not older than R may still miss
//	III  ack <= R.end                            of what R has sent
//	IV   ack >= R.end - max(S.maxWin, 66000)     not too long ago
//
// Sequence numbers and byte counts, modulo 2^32.
type window struct {
	end    uint32 // highest seq + length sent
	maxEnd uint32 // highest that the other end allows: its ack + window
	maxWin uint32 // largest window offered; zero: this end has not spoken
	maxAck uint32 // highest ack sent; valid with flagAckSeen
}

// ackWindow is the least of IV: an ACK may be so old even if windows are small.
const ackWindow = 66000

// maxScale bounds the window scale (RFC 7323 2.3).
const maxScale = 14

func after(a, b uint32) bool  { return int32(a-b) > 0 }
func before(a, b uint32) bool { return int32(a-b) < 0 }

// segment is what the window check needs of a segment.
type segment struct {
	seq, end, ack uint32
	win           uint32 // as in the header, not shifted
	flags         uint8
}

func (g *segment) syn() bool    { return g.flags&packet.TCPSyn != 0 }
func (g *segment) rst() bool    { return g.flags&packet.TCPRst != 0 }
func (g *segment) hasAck() bool { return g.flags&packet.TCPAckFlag != 0 }

// read takes from a frame what is needed. It fills in place: a struct put
// together and then copied makes the copy wait for its parts.
func (g *segment) read(f *packet.Frame) {
	h := &f.Headers
	flags := h.TCPFlags
	length := h.PacketEnd - uint32(h.Payload) + uint32(flags&packet.TCPFin) + uint32(flags&packet.TCPSyn>>1)
	g.seq, g.end, g.ack, g.win = h.TCPSeq, h.TCPSeq+length, h.TCPAck, uint32(h.TCPWindow)
	g.flags = flags // as one byte: three that are read together would have to be stored so
}

// start takes the first SYN of an end, or a new one before the connection is
// open. Both ends must offer a window scale for either to use it.
func (s *Session) start(d Direction, g *segment, f *packet.Frame) {
	s.windows[d] = window{end: g.end, maxEnd: g.end, maxWin: max(g.win, 1)}
	s.flags &^= flagAckSeen<<d | flagScale<<d
	s.scales &^= 15 << (4 * d)
	if shift, offered := windowScale(f); offered {
		s.flags |= flagScale << d
		s.scales |= shift << (4 * d)
	}
	if s.windows[1-d].maxWin != 0 && s.flags&(flagScale|flagScale<<1) != flagScale|flagScale<<1 {
		s.scales = 0
	}
}

// inWindow tells whether a segment is legal, and moves both windows on if so.
// A RST moves nothing: one that is not believed must not pave the way for the
// next.
func (s *Session) inWindow(d Direction, g *segment, f *packet.Frame) bool {
	d &= 1
	snd, rcv := &s.windows[d], &s.windows[1-d]
	opening := s.state == StateSynSent || s.state == StateSynReceived
	if g.syn() && (snd.maxWin == 0 || opening && after(g.end, snd.end)) {
		if !s.answers(g, rcv) {
			return false
		}
		s.start(d, g, f)
		if !g.hasAck() && rcv.maxWin != 0 {
			return true // simultaneous open
		}
	}
	seq, end, ack := g.seq, g.end, g.ack
	if !g.hasAck() || g.rst() && ack == 0 {
		ack = rcv.end // some stacks reset with an ACK of zero
	}
	if g.flags&(packet.TCPSyn|packet.TCPRst) == 0 && (snd.maxWin == 0 || rcv.maxWin == 0) {
		return false // one end has refused the connection: there is nothing to say in it
	}
	if snd.maxWin == 0 {
		seq, end = snd.maxEnd, snd.end // it answers a SYN by RST: there is no window yet
	}
	if after(seq, snd.maxEnd) || rcv.maxWin != 0 && before(end, snd.end-rcv.maxWin) ||
		after(ack, rcv.end) || before(ack, rcv.end-max(snd.maxWin, ackWindow)) {
		return false
	}
	if !g.rst() {
		s.slide(d, g, ack)
	}
	return true
}

// answers tells whether a SYN that would begin a window acknowledges, if
// anything, what the other end has sent: it must not change the window before
// it is known to be legal.
func (s *Session) answers(g *segment, rcv *window) bool {
	return !g.hasAck() || !after(g.ack, rcv.end) && !before(g.ack, rcv.end-ackWindow)
}

// slide moves the windows on by a legal segment.
func (s *Session) slide(d Direction, g *segment, ack uint32) {
	snd, rcv := &s.windows[d], &s.windows[1-d]
	win := g.win
	if !g.syn() {
		win <<= s.scales >> (4 * d) & 15
	}
	if snd.maxWin < win {
		snd.maxWin = win
	}
	if rcv.maxWin != 0 && after(g.end, snd.maxEnd) {
		rcv.maxWin += g.end - snd.maxEnd // it was allowed more than we saw
	}
	if after(g.end, snd.end) {
		snd.end = g.end
	}
	if g.hasAck() {
		if s.flags&(flagAckSeen<<d) == 0 || after(ack, snd.maxAck) {
			s.flags |= flagAckSeen << d
			snd.maxAck = ack
		}
	}
	// A closed window may be probed with one byte (RFC 9293 3.8.6.1).
	if limit := ack + max(win, 1); after(limit, rcv.maxEnd) {
		rcv.maxEnd = limit
	}
}

// windowScale reads the window scale option of a SYN (RFC 7323 2.2).
func windowScale(f *packet.Frame) (shift uint8, offered bool) {
	h := &f.Headers
	for o := f.Bytes()[h.L4+20 : h.Payload]; len(o) > 0; {
		const end, nop, scale = 0, 1, 3
		switch {
		case o[0] == end:
			return 0, false
		case o[0] == nop:
			o = o[1:]
			continue
		case len(o) < 2 || o[1] < 2 || int(o[1]) > len(o):
			return 0, false
		case o[0] == scale && o[1] == 3:
			return min(o[2], maxScale), true
		}
		o = o[o[1]:]
	}
	return 0, false
}
