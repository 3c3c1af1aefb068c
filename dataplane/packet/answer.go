package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// AnswerEcho turns an ICMP or ICMPv6 echo request into its reply (RFC 792,
// RFC 4443 4.2): addresses and MACs change places, the type changes, and the
// checksum with it.
func AnswerEcho(f *Frame) bool {
	h := &f.Headers
	b := f.Bytes()
	ip, p := b[h.L3:], b[h.L4:]
	old := binary.BigEndian.Uint16(p)
	var swap [16]byte
	if h.V6 {
		p[0] = ICMPv6EchoReply
		copy(swap[:], ip[8:24])
		copy(ip[8:24], ip[24:40])
		copy(ip[24:40], swap[:])
		ip[7] = 64
	} else {
		p[0] = ICMPEchoReply
		copy(swap[:4], ip[12:16])
		copy(ip[12:16], ip[16:20])
		copy(ip[16:20], swap[:4])
		word := binary.BigEndian.Uint16(ip[8:])
		ip[8] = 64
		binary.BigEndian.PutUint16(ip[10:], checksum.Update(binary.BigEndian.Uint16(ip[10:]), word, binary.BigEndian.Uint16(ip[8:])))
	}
	sum := binary.BigEndian.Uint16(p[2:])
	binary.BigEndian.PutUint16(p[2:], checksum.Update(sum, old, binary.BigEndian.Uint16(p)))
	SetMACs(f, h.Src, h.Dst)
	h.Key = h.Key.Reverse()
	h.ICMPType = p[0]
	return true
}

// ErrorKind is an ICMP error that the switch sends.
type ErrorKind uint8

const (
	// ErrorTimeExceeded: the TTL was used up.
	ErrorTimeExceeded ErrorKind = iota
	// ErrorTooBig: fragmentation needed, or packet too big.
	ErrorTooBig
)

// Bounds of a quote: an IPv4 error is at most 576 bytes (RFC 1812 4.3.2.3), an
// IPv6 one 1280 (RFC 4443 2.4 c).
const (
	maxError4 = 576
	maxError6 = 1280
)

// MayAnswerWithError tells whether a packet may be answered with an ICMP
// error: not one that is an ICMP error or redirect itself, and not one that
// was sent to a group (RFC 1122 3.2.2, RFC 4443 2.4 e).
func MayAnswerWithError(f *Frame) bool {
	h := &f.Headers
	return !h.ICMPError && !h.Dst.IsMulticast() &&
		!(h.Key.Proto == ProtoICMP && h.ICMPType == ICMPRedirect) &&
		h.Key.Src != Addr{}
}

// AnswerError turns a parsed packet into the ICMP error about it, sent by mac
// and from to the packet's sender. The packet is quoted, cut to the bounds
// above; mtu is for ErrorTooBig. It uses the headroom, and returns false, with
// the frame in no defined state, if that is too small.
func AnswerError(f *Frame, kind ErrorKind, mtu uint32, mac MAC, from *Addr) bool {
	h := f.Headers
	ip, limit := uint32(ipv4Len), uint32(maxError4)
	if h.V6 {
		ip, limit = ipv6Len, maxError6
	}
	f.Offload = Offload{}
	if h.VLANs != 0 || !f.Pull(uint32(h.L3)) {
		return false
	}
	quote := min(f.End-f.Start, h.PacketEnd-uint32(h.L3), limit-ip-icmpLen)
	f.End = f.Start + quote
	if !f.Push(ethernetLen + ip + icmpLen) {
		return false
	}
	f.Offload = Offload{}
	b := f.Bytes()
	copy(b[0:6], h.Src[:])
	copy(b[6:12], mac[:])
	binary.BigEndian.PutUint16(b[12:], h.EtherType)
	p := b[ethernetLen+ip:]
	binary.BigEndian.PutUint64(p, 0)
	sum := uint64(0)
	if h.V6 {
		writeIPv6(b[ethernetLen:], ProtoICMPv6, len(p), 64, from, &h.Key.Src)
		p[0] = ICMPv6TimeExceeded
		if kind == ErrorTooBig {
			p[0] = ICMPv6TooBig
			binary.BigEndian.PutUint32(p[4:], mtu)
		}
		sum = checksum.Pseudo(from[:], h.Key.Src[:], ProtoICMPv6, uint32(len(p)))
	} else {
		writeIPv4(b[ethernetLen:], ProtoICMP, len(p), 64, from, &h.Key.Src)
		p[0] = ICMPTimeExceeded
		if kind == ErrorTooBig {
			p[0], p[1] = ICMPUnreachable, 4
			binary.BigEndian.PutUint16(p[6:], uint16(min(mtu, 0xffff)))
		}
	}
	binary.BigEndian.PutUint16(p[2:], checksum.Of(p, sum))
	return Parse(f) == drop.None
}
