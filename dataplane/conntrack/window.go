package conntrack

import (
	"encoding/binary"

	"bulkhead/dataplane/packet"
)

// window is what is known of one end's sending (Guido van Rooij, "Real
// Stateful TCP Packet Filtering in IP Filter", 2000): a segment is legal if it
// lies in what the other end has allowed, and acknowledges what the other end
// has sent. All are sequence numbers or counts of bytes.
type window struct {
	end    uint32 // highest sequence number sent, plus one
	maxEnd uint32 // highest the other end allows
	maxWin uint32 // largest window this end has offered; zero: it has not spoken
	scale  uint8  // its window scale (RFC 7323 2)
	flags  uint8
}

const windowScales = 1 // this end offered a scale

// ackSlack bounds how old an acknowledgement may be: the largest window
// without scaling, and some.
const ackSlack = 66000

func after(a, b uint32) bool { return int32(a-b) > 0 }

// segment is what the window check needs of a TCP segment.
type segment struct {
	seq, end, ack uint32
	win           uint32 // not scaled
	syn, hasAck   bool
	reset         bool
}

func segmentOf(f *packet.Frame) segment {
	h := &f.Headers
	n := h.PacketEnd - uint32(h.Payload)
	if h.TCPFlags&packet.TCPSyn != 0 {
		n++
	}
	if h.TCPFlags&packet.TCPFin != 0 {
		n++
	}
	return segment{
		seq: h.TCPSeq, end: h.TCPSeq + n, ack: h.TCPAck, win: uint32(h.TCPWindow),
		syn: h.TCPFlags&packet.TCPSyn != 0, hasAck: h.TCPFlags&packet.TCPAckFlag != 0,
		reset: h.TCPFlags&packet.TCPRst != 0,
	}
}

// begin takes the first segment of an end: a SYN, with its window scale.
func (w *window) begin(s *segment, f *packet.Frame) {
	*w = window{end: s.end, maxEnd: s.end, maxWin: max(s.win, 1)}
	if scale, offered := windowScale(f); offered {
		w.scale, w.flags = min(scale, 14), windowScales
	}
}

// inWindow tells whether a segment of w's end is legal.
func (w *window) inWindow(s *segment, peer *window) bool {
	ack := s.ack
	if !s.hasAck {
		ack = peer.end
	}
	return !after(s.seq, w.maxEnd) && // no more than allowed
		!after(w.end-peer.maxWin, s.end) && // not older than the other end could miss
		!after(ack, peer.end) && // acknowledges what was sent
		!after(peer.end-max(ackSlack, w.maxWin), ack)
}

// advance moves both ends on by a legal segment of w's.
func (w *window) advance(s *segment, peer *window) {
	win := s.win
	if !s.syn {
		win <<= w.scale
	}
	w.maxWin = max(w.maxWin, win)
	if after(s.end, w.end) {
		w.end = s.end
	}
	if !s.hasAck {
		return
	}
	if limit := s.ack + max(win, 1); after(limit, peer.maxEnd) {
		peer.maxEnd = limit
	}
}

// windowScale reads the window scale option of a SYN.
func windowScale(f *packet.Frame) (scale uint8, offered bool) {
	o := f.Bytes()[f.Headers.L4+20 : f.Headers.Payload]
	for len(o) > 0 {
		switch o[0] {
		case 0:
			return 0, false
		case 1:
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return 0, false
		}
		if o[0] == 3 && o[1] == 3 {
			return o[2], true
		}
		o = o[o[1]:]
	}
	return 0, false
}

// quotedInWindow tells whether the TCP header quoted by an ICMP error is of a
// segment that w's end may have under way (RFC 5927 4.1).
func (w *window) quotedInWindow(f *packet.Frame, peer *window) bool {
	seq := binary.BigEndian.Uint32(f.Bytes()[f.Headers.InnerL4+4:])
	return !after(seq, w.end) && !after(w.end-max(peer.maxWin, ackSlack), seq)
}
