package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
)

// ErrorKind is an ICMP error that the switch sends.
type ErrorKind uint8

const (
	// ErrorTimeExceeded: the TTL was used up.
	ErrorTimeExceeded ErrorKind = iota
	// ErrorTooBig: fragmentation needed, or packet too big.
	ErrorTooBig
	// ErrorNoRoute: no route to the destination's network.
	ErrorNoRoute
	// ErrorNoHost: the destination itself does not answer.
	ErrorNoHost
	// ErrorProhibited: a rule forbids it.
	ErrorProhibited
)

// errorTypes is the type and code of each kind in ICMP (RFC 792, RFC 1812
// 5.2.7.1) and in ICMPv6 (RFC 4443 3).
var errorTypes = [...]struct{ type4, code4, type6, code6 uint8 }{
	ErrorTimeExceeded: {ICMPTimeExceeded, 0, ICMPv6TimeExceeded, 0},
	ErrorTooBig:       {ICMPUnreachable, 4, ICMPv6TooBig, 0},
	ErrorNoRoute:      {ICMPUnreachable, 0, ICMPv6Unreachable, 0},
	ErrorNoHost:       {ICMPUnreachable, 1, ICMPv6Unreachable, 3},
	ErrorProhibited:   {ICMPUnreachable, 13, ICMPv6Unreachable, 1},
}

// Bounds of an error in bytes of IP: 576 for IPv4 (RFC 1812 4.3.2.3), 1280,
// the least MTU there is, for IPv6 (RFC 4443 2.4 c).
const (
	maxError4 = 576
	maxError6 = 1280
)

// MayAnswerWithError tells whether a parsed packet may be answered with an
// ICMP error: not one that is an error or a redirect itself, not one that was
// sent to a group, not one without a single sender, and not a fragment but the
// first (RFC 1122 3.2.2, RFC 4443 2.4 e).
func MayAnswerWithError(f *Frame) bool {
	h := &f.Headers
	if !h.hasTransport() || h.ICMPError || h.Dst.IsMulticast() || isGroup(&h.Key.Dst) || isGroup(&h.Key.Src) {
		return false
	}
	if h.Key.Proto == ProtoICMP && h.ICMPType == ICMPRedirect || h.Key.Proto == ProtoICMPv6 && isError6(h.ICMPType) {
		return false
	}
	return h.Key.Src != Addr{} && h.Key.Src != Addr{10: 0xff, 11: 0xff}
}

// hasTransport tells whether the frame is an IP packet, or a part of one, with
// its transport header.
func (h *Headers) hasTransport() bool {
	return h.Kind == KindIP || h.Kind == KindFragment && h.Fragment.First()
}

// AnswerError turns a parsed packet, of which MayAnswerWithError, into the ICMP error about it,
// sent by mac and from, an address of the packet's family, to its sender. Tags
// stay. The packet is quoted, cut to the bounds above; mtu, in bytes of IP, is
// for ErrorTooBig. It uses the headroom: it returns false, with the frame in no
// defined state, if that is too small or the packet cannot be quoted.
func AnswerError(f *Frame, kind ErrorKind, mtu uint32, mac MAC, from *Addr) bool {
	h := f.Headers
	if !h.hasTransport() || from.Is4() == h.V6 {
		return false
	}
	ip, limit := uint32(ipv4Len), uint32(maxError4)
	if h.V6 {
		ip, limit = ipv6Len, maxError6
	}
	// The link header is kept aside: the new headers are put over its place.
	var link [ethernetLen + 2*vlanLen]byte
	linkLen := uint32(copy(link[:h.L3], f.Bytes()))
	copy(link[0:6], h.Src[:])
	copy(link[6:12], mac[:])

	f.Offload = Offload{}
	if !f.Pull(linkLen) {
		return false
	}
	f.End = f.Start + min(f.End-f.Start, h.PacketEnd-linkLen, limit-ip-icmpLen)
	if !f.Push(linkLen + ip + icmpLen) {
		return false
	}
	f.Offload = Offload{}
	b := f.Bytes()
	copy(b, link[:linkLen])
	writeError(b[linkLen:], kind, mtu, h.V6, from, &h.Key.Src)
	return Parse(f) == drop.None
}

// writeError writes the IP and ICMP headers of an error before the quote that
// stands in p already.
func writeError(p []byte, kind ErrorKind, mtu uint32, v6 bool, from, to *Addr) {
	types := &errorTypes[kind]
	if kind != ErrorTooBig {
		mtu = 0
	}
	if v6 {
		icmp := p[ipv6Len:]
		writeIPv6(p, ProtoICMPv6, len(icmp), answerTTL, from, to)
		binary.BigEndian.PutUint32(icmp, uint32(types.type6)<<24|uint32(types.code6)<<16)
		binary.BigEndian.PutUint32(icmp[4:], mtu)
		sum := checksum.Pseudo(from[:], to[:], ProtoICMPv6, uint32(len(icmp)))
		binary.BigEndian.PutUint16(icmp[icmpChecksum:], checksum.Of(icmp, sum))
		return
	}
	icmp := p[ipv4Len:]
	writeIPv4(p, ProtoICMP, len(icmp), answerTTL, from, to)
	binary.BigEndian.PutUint32(icmp, uint32(types.type4)<<24|uint32(types.code4)<<16)
	binary.BigEndian.PutUint32(icmp[4:], min(mtu, 0xffff)) // RFC 1191 4: the low 16 bits
	binary.BigEndian.PutUint16(icmp[icmpChecksum:], checksum.Of(icmp, 0))
}

// TooBig reads an ICMP error that says that a packet was too big for a link: what
// the link takes, in bytes of IP. f is parsed. One that cannot be true is none:
// that the link takes nothing (RFC 1191 4), or as much as the packet was that it
// quotes (RFC 5927 7.2).
func TooBig(f *Frame) (mtu uint32, is bool) {
	h := &f.Headers
	if !h.ICMPError {
		return 0, false
	}
	b := f.Bytes()[h.L4:h.PacketEnd]
	quoted := uint32(0)
	switch {
	case h.V6 && h.ICMPType == ICMPv6TooBig:
		mtu, quoted = binary.BigEndian.Uint32(b[4:]), ipv6Len+uint32(binary.BigEndian.Uint16(b[icmpLen+4:]))
	case !h.V6 && h.ICMPType == ICMPUnreachable && h.ICMPCode == 4:
		mtu, quoted = uint32(binary.BigEndian.Uint16(b[6:])), uint32(binary.BigEndian.Uint16(b[icmpLen+2:]))
	}
	return mtu, mtu != 0 && mtu < quoted
}
