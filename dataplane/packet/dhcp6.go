package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// DHCPv6 (RFC 8415 8): a message is a type, three bytes of transaction and
// options, each a code, a length (two bytes both) and a value.
const (
	DHCP6ServerPort = 547
	DHCP6ClientPort = 546

	dhcp6Options = 4
	dhcp6MaxDUID = 130 // RFC 8415 11.1: 128 bytes and a type
)

// Messages of DHCPv6 (RFC 8415 7.3).
const (
	DHCP6Solicit            = 1
	DHCP6Advertise          = 2
	DHCP6Request            = 3
	DHCP6Confirm            = 4
	DHCP6Renew              = 5
	DHCP6Rebind             = 6
	DHCP6Reply              = 7
	DHCP6Release            = 8
	DHCP6Decline            = 9
	DHCP6InformationRequest = 11
)

// Options of DHCPv6 (RFC 8415 21, RFC 3646).
const (
	dhcp6ClientID = 1
	dhcp6ServerID = 2
	dhcp6IANA     = 3
	dhcp6IAAddr   = 5
	dhcp6Status   = 13
	dhcp6Rapid    = 14
	dhcp6DNS      = 23

	dhcp6NotOnLink = 4
)

// AllDHCP6 is ff02::1:2, where clients ask (RFC 8415 7.1).
var AllDHCP6 = Addr{0: 0xff, 1: 2, 13: 1, 15: 2}

// DHCP6 is what a client asks.
type DHCP6 struct {
	Message uint8
	xid     [3]byte
	rapid   bool
	server  bool // it means a server, by
	means   [10]byte
	asks    bool // it asks for an address, or speaks of
	iaid    [4]byte
	named   bool // one of its own
	addr    Addr
	id      [dhcp6MaxDUID]byte
	idLen   int
}

// DHCP6Of reads the question in a parsed UDP packet.
func DHCP6Of(f *Frame) (q DHCP6, reason drop.Reason) {
	p := f.Bytes()[f.Headers.Payload:f.Headers.PacketEnd]
	if len(p) < dhcp6Options {
		return q, drop.BadDHCP
	}
	q.Message = p[0]
	copy(q.xid[:], p[1:4])
	for o := p[dhcp6Options:]; len(o) > 0; {
		if len(o) < 4 {
			return q, drop.BadDHCP
		}
		length := int(binary.BigEndian.Uint16(o[2:]))
		if len(o) < 4+length || !q.option(binary.BigEndian.Uint16(o), o[4:4+length]) {
			return q, drop.BadDHCP
		}
		o = o[4+length:]
	}
	return q, drop.None
}

// option reads one option; false if it cannot be.
func (q *DHCP6) option(code uint16, value []byte) bool {
	switch code {
	case dhcp6ClientID:
		q.idLen = copy(q.id[:], value)
		return len(value) <= dhcp6MaxDUID && len(value) > 2
	case dhcp6ServerID:
		q.server = true
		if len(value) == len(q.means) {
			copy(q.means[:], value)
		}
	case dhcp6Rapid:
		q.rapid = true
	case dhcp6IANA:
		if len(value) < 12 {
			return false
		}
		if !q.asks { // the first is answered: there is one address
			q.asks = true
			copy(q.iaid[:], value)
			if in := value[12:]; len(in) >= 20 && binary.BigEndian.Uint16(in) == dhcp6IAAddr {
				q.named, q.addr = true, Addr(in[4:20])
			}
		}
	}
	return true
}

// duid is the gateway's: of its MAC (RFC 8415 11.4), so the same on every host.
func (l *Lease) duid() [10]byte {
	return [10]byte{0, 3, 0, 1, l.MAC[0], l.MAC[1], l.MAC[2], l.MAC[3], l.MAC[4], l.MAC[5]}
}

// Answer returns the message that answers a question of whom the lease is for;
// zero: none does (RFC 8415 16, 18.3).
func (q *DHCP6) Answer(l *Lease) uint8 {
	ours := q.server && q.means == l.duid()
	if q.Message != DHCP6InformationRequest && q.idLen == 0 {
		return 0
	}
	switch q.Message {
	case DHCP6Solicit:
		if q.server {
			return 0
		}
		if q.rapid {
			return DHCP6Reply
		}
		return DHCP6Advertise
	case DHCP6Confirm, DHCP6Rebind:
		if !q.server {
			return DHCP6Reply
		}
	case DHCP6Request, DHCP6Renew, DHCP6Release, DHCP6Decline:
		if ours {
			return DHCP6Reply
		}
	case DHCP6InformationRequest:
		if ours || !q.server {
			return DHCP6Reply
		}
	}
	return 0
}

// AnswerDHCP6 turns the frame of a question into the answer, which must be one of
// its Answer. It returns false if the frame's memory is too small.
func AnswerDHCP6(f *Frame, q *DHCP6, answer uint8, l *Lease) bool {
	h := &f.Headers
	if !f.leaseRoom() {
		return false
	}
	to, mac := h.Key.Src, h.Src
	p := f.Buf[f.Start+uint32(h.L3)+ipv6Len+udpLen:]
	w := writer{b: p[:maxLeaseMessage-ipv6Len-udpLen]}
	w.u8(answer)
	w.bytes(q.xid[:])
	q.writeOptions(&w, answer, l)
	from := LinkLocal(l.MAC)
	f.sendUDP(&from, &to, DHCP6ServerPort, DHCP6ClientPort, w.n)
	SetMACs(f, mac, l.MAC)
	return Parse(f) == drop.None
}

func (q *DHCP6) writeOptions(w *writer, answer uint8, l *Lease) {
	if q.idLen > 0 {
		w.u16(dhcp6ClientID)
		w.u16(uint16(q.idLen))
		w.bytes(q.id[:q.idLen])
	}
	duid := l.duid()
	w.u16(dhcp6ServerID)
	w.u16(uint16(len(duid)))
	w.bytes(duid[:])
	switch q.Message {
	case DHCP6Release, DHCP6Decline:
		q.writeStatus(w, 0)
		return
	case DHCP6Confirm:
		status := uint16(0)
		if q.named && q.addr != l.Addr {
			status = dhcp6NotOnLink
		}
		q.writeStatus(w, status)
		return
	}
	if answer == DHCP6Reply && q.Message == DHCP6Solicit {
		w.u16(dhcp6Rapid)
		w.u16(0)
	}
	if q.asks && q.Message != DHCP6InformationRequest {
		q.writeAddress(w, l)
	}
	if n := l.servers(false); n > 0 {
		w.u16(dhcp6DNS)
		w.u16(uint16(16 * n))
		for i := range l.DNS {
			if !l.DNS[i].Is4() {
				w.bytes(l.DNS[i][:])
			}
		}
	}
}

// writeAddress writes the address there is, and of another that the client speaks
// of that it is over (RFC 8415 18.3.4).
func (q *DHCP6) writeAddress(w *writer, l *Lease) {
	const one = 4 + 24
	length := 12 + one
	stale := q.named && q.addr != l.Addr
	if stale {
		length += one
	}
	w.u16(dhcp6IANA)
	w.u16(uint16(length))
	w.bytes(q.iaid[:])
	w.u32(l.Seconds / 2)
	w.u32(l.Seconds / 5 * 4)
	writeIAAddr(w, &l.Addr, l.Seconds)
	if stale {
		writeIAAddr(w, &q.addr, 0)
	}
}

func writeIAAddr(w *writer, a *Addr, seconds uint32) {
	w.u16(dhcp6IAAddr)
	w.u16(24)
	w.bytes(a[:])
	w.u32(seconds)
	w.u32(seconds)
}

func (q *DHCP6) writeStatus(w *writer, status uint16) {
	w.u16(dhcp6Status)
	w.u16(2)
	w.u16(status)
}
