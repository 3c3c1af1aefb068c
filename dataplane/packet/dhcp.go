package packet

import (
	"bytes"
	"encoding/binary"

	"bulkhead/dataplane/drop"
)

// DHCP (RFC 2131 2), the part before the options:
//
//	| op | htype | hlen | hops |              xid               |
//	|     secs     |   flags   | ciaddr | yiaddr | siaddr | giaddr |
//	| chaddr (16) | sname (64) | file (128) | cookie 63825363 | options ...
const (
	DHCPServerPort = 67
	DHCPClientPort = 68

	dhcpCookie  = 236
	dhcpOptions = 240
	dhcpLeast   = 300 // bytes of an answer: what BOOTP's receivers take for a whole one (RFC 1542 2.1)
	dhcpMaxOpts = 64  // options of a question that are read
)

// Messages of DHCP (RFC 2132 9.6).
const (
	DHCPDiscover = 1
	DHCPOffer    = 2
	DHCPRequest  = 3
	DHCPDecline  = 4
	DHCPAck      = 5
	DHCPNak      = 6
	DHCPRelease  = 7
	DHCPInform   = 8
)

// Options of DHCP (RFC 2132).
const (
	dhcpPad       = 0
	dhcpMask      = 1
	dhcpRouter    = 3
	dhcpDNS       = 6
	dhcpMTU       = 26
	dhcpRequested = 50
	dhcpLeaseTime = 51
	dhcpMessage   = 53
	dhcpServer    = 54
	dhcpClientID  = 61
	dhcpEnd       = 255
)

// DHCP is what a client asks.
type DHCP struct {
	Message   uint8
	XID       [4]byte
	Broadcast bool    // it cannot be sent to by its address yet
	Client    [4]byte // ciaddr: the address that it uses
	Requested [4]byte // the address that it would like
	Server    [4]byte // the server that it means; zero: any
	id        [255]byte
	idLen     int
}

// DHCPOf reads the question in a parsed UDP packet. It must be well-formed, of an
// Ethernet client whose hardware address is who sent the frame, and not relayed.
func DHCPOf(f *Frame) (q DHCP, reason drop.Reason) {
	h := &f.Headers
	p := f.Bytes()[h.Payload:h.PacketEnd]
	if len(p) < dhcpOptions || p[0] != 1 || p[1] != 1 || p[2] != 6 || binary.BigEndian.Uint32(p[dhcpCookie:]) != 0x63825363 {
		return q, drop.BadDHCP
	}
	if MAC(p[28:34]) != h.Src {
		return q, drop.SpoofedMAC
	}
	if [4]byte(p[24:28]) != [4]byte{} {
		return q, drop.BadDHCP // relayed: there is a switch between us and who asks
	}
	copy(q.XID[:], p[4:8])
	q.Broadcast = p[10]&0x80 != 0
	copy(q.Client[:], p[12:16])
	if !q.readOptions(p[dhcpOptions:]) {
		return q, drop.BadDHCP
	}
	return q, drop.None
}

// readOptions reads the options; false if they do not parse or no message is
// among them.
func (q *DHCP) readOptions(o []byte) bool {
	for n := 0; len(o) > 0 && o[0] != dhcpEnd; n++ {
		if o[0] == dhcpPad {
			o, n = o[1:], n-1
			continue
		}
		if n == dhcpMaxOpts || len(o) < 2 || len(o) < 2+int(o[1]) {
			return false
		}
		value := o[2 : 2+o[1]]
		switch {
		case o[0] == dhcpMessage && len(value) == 1:
			q.Message = value[0]
		case o[0] == dhcpRequested && len(value) == 4:
			copy(q.Requested[:], value)
		case o[0] == dhcpServer && len(value) == 4:
			copy(q.Server[:], value)
		case o[0] == dhcpClientID:
			q.idLen = copy(q.id[:], value)
		}
		o = o[2+int(o[1]):]
	}
	return q.Message != 0
}

// Answer returns the message that answers a question of whom the lease is for;
// zero: none does (RFC 2131 4.3). There is one address for it and the switch knows
// all of the segment, so that another one is refused.
func (q *DHCP) Answer(l *Lease) uint8 {
	server := [4]byte(l.Gateway[12:])
	if q.Server != [4]byte{} && q.Server != server {
		return 0
	}
	switch q.Message {
	case DHCPDiscover:
		return DHCPOffer
	case DHCPInform:
		return DHCPAck
	case DHCPRequest:
		wants := q.Requested
		if wants == [4]byte{} {
			wants = q.Client
		}
		if bytes.Equal(wants[:], l.Addr[12:]) {
			return DHCPAck
		}
		return DHCPNak
	}
	return 0
}

// AnswerDHCP turns the frame of a question into the answer, which must be one of
// its Answer. It returns false if the frame's memory is too small.
func AnswerDHCP(f *Frame, q *DHCP, answer uint8, l *Lease) bool {
	h := &f.Headers
	if !f.leaseRoom() {
		return false
	}
	mac := h.Src
	p := f.Buf[f.Start+uint32(h.L3)+ipv4Len+udpLen:]
	p = p[:maxLeaseMessage-ipv4Len-udpLen]
	clear(p)
	p[0], p[1], p[2] = 2, 1, 6
	copy(p[4:8], q.XID[:])
	if q.Broadcast {
		p[10] = 0x80
	}
	if answer != DHCPNak {
		copy(p[12:16], q.Client[:])
	}
	if answer != DHCPNak && q.Message != DHCPInform {
		copy(p[16:20], l.Addr[12:])
	}
	copy(p[28:34], mac[:])
	binary.BigEndian.PutUint32(p[dhcpCookie:], 0x63825363)
	w := writer{b: p, n: dhcpOptions}
	q.writeOptions(&w, answer, l)

	to, toMAC := Addr{10: 0xff, 11: 0xff, 12: 255, 13: 255, 14: 255, 15: 255}, MAC{255, 255, 255, 255, 255, 255}
	switch {
	case answer == DHCPNak: // its address is wrong: RFC 2131 4.3.2
	case q.Client != [4]byte{}:
		to, toMAC = AddrFrom4(q.Client), mac
	case !q.Broadcast:
		to, toMAC = l.Addr, mac
	}
	f.sendUDP(&l.Gateway, &to, DHCPServerPort, DHCPClientPort, max(w.n, dhcpLeast))
	SetMACs(f, toMAC, l.MAC)
	return Parse(f) == drop.None
}

// writeOptions writes the options of an answer (RFC 2131 table 3).
func (q *DHCP) writeOptions(w *writer, answer uint8, l *Lease) {
	w.u8(dhcpMessage, 1, answer)
	w.u8(dhcpServer, 4)
	w.bytes(l.Gateway[12:])
	if q.idLen > 0 {
		w.u8(dhcpClientID, byte(q.idLen)) // RFC 6842
		w.bytes(q.id[:q.idLen])
	}
	if answer == DHCPNak {
		w.u8(dhcpEnd)
		return
	}
	if q.Message != DHCPInform {
		w.u8(dhcpLeaseTime, 4)
		w.u32(l.Seconds)
	}
	w.u8(dhcpMask, 4)
	w.u32(^uint32(0) << (32 - l.Bits))
	if !l.NoRoute {
		w.u8(dhcpRouter, 4)
		w.bytes(l.Gateway[12:])
	}
	w.u8(dhcpMTU, 2)
	w.u16(uint16(l.MTU))
	if n := l.servers(true); n > 0 {
		w.u8(dhcpDNS, byte(4*n))
		for i := range l.DNS {
			if l.DNS[i].Is4() {
				w.bytes(l.DNS[i][12:])
			}
		}
	}
	w.u8(dhcpEnd)
}

// servers counts the name servers of a family.
func (l *Lease) servers(v4 bool) (n int) {
	for i := range l.DNS {
		if l.DNS[i].Is4() == v4 {
			n++
		}
	}
	return n
}
