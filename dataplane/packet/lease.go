package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
)

// Lease is what the switch tells a workload of its own address and of the network
// around it, by DHCP (RFC 2131, RFC 8415) and by router advertisements (RFC 4861).
// Its addresses are of the family of the message.
type Lease struct {
	Addr    Addr   // the workload's
	Bits    uint8  // length of the prefix around it, of 32 or 128
	Gateway Addr   // the gateway's in that prefix
	MAC     MAC    // the gateway's
	DNS     []Addr // at most MaxDNS; those of the other family are left out
	MTU     uint32 // bytes of IP
	Seconds uint32 // that the address may be used without asking again
	NoRoute bool   // the gateway is not to be its router
}

// MaxDNS bounds the name servers that a workload is told of.
const MaxDNS = 8

// LinkLocal returns the link-local address that a MAC's owner makes for itself
// (RFC 4291 appendix A).
func LinkLocal(mac MAC) Addr {
	return Addr{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
}

// maxLeaseMessage bounds an answer, in bytes behind the link header.
const maxLeaseMessage = 1024

// writer writes options one after the other into memory that is large enough for
// the most there can be.
type writer struct {
	b []byte
	n int
}

func (w *writer) u8(v ...uint8) {
	w.n += copy(w.b[w.n:], v)
}

func (w *writer) u16(v uint16) {
	binary.BigEndian.PutUint16(w.b[w.n:], v)
	w.n += 2
}

func (w *writer) u32(v uint32) {
	binary.BigEndian.PutUint32(w.b[w.n:], v)
	w.n += 4
}

func (w *writer) bytes(b []byte) { w.n += copy(w.b[w.n:], b) }

// sendUDP makes a parsed frame, whose link header stays, a UDP packet of n bytes
// that stand where its payload will: behind an IP header without options and the
// UDP header.
func (f *Frame) sendUDP(from, to *Addr, sport, dport uint16, n int) {
	h := &f.Headers
	ip := uint32(ipv4Len)
	if h.V6 {
		ip = ipv6Len
	}
	f.End = f.Start + uint32(h.L3) + ip + udpLen + uint32(n)
	p := f.Bytes()[h.L3:]
	udp := p[ip:]
	binary.BigEndian.PutUint16(udp, sport)
	binary.BigEndian.PutUint16(udp[2:], dport)
	binary.BigEndian.PutUint16(udp[4:], uint16(udpLen+n))
	binary.BigEndian.PutUint16(udp[6:], 0)
	var sum uint64
	if h.V6 {
		writeIPv6(p, ProtoUDP, udpLen+n, answerTTL, from, to)
		sum = checksum.Pseudo(from[:], to[:], ProtoUDP, uint32(len(udp)))
	} else {
		writeIPv4(p, ProtoUDP, udpLen+n, answerTTL, from, to)
		sum = checksum.Pseudo(from[12:], to[12:], ProtoUDP, uint32(len(udp)))
	}
	field := checksum.Of(udp, sum)
	if field == 0 {
		field = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], field)
	f.Offload = Offload{}
}

// leaseRoom tells whether a frame has the memory for an answer.
func (f *Frame) leaseRoom() bool {
	return f.holdsPacket() && int(f.Start)+int(f.Headers.L3)+maxLeaseMessage <= len(f.Buf)
}
