package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
)

// answerTTL is the TTL or hop limit of what the switch itself sends.
const answerTTL = 64

// AnswerEcho turns a parsed ICMP or ICMPv6 echo request into its reply (RFC
// 792, RFC 4443 4.2): addresses and MACs change places, the type changes, and
// the checksum with it; a wrong one stays wrong, a partial one partial. It
// returns false, and changes nothing, if the frame is no such request, was
// sent to a group, or has been cut short.
func AnswerEcho(f *Frame) bool {
	h := &f.Headers
	reply, asked := echoReply(h)
	if !asked || h.Dst.IsMulticast() || isGroup(&h.Key.Dst) || !f.holdsPacket() {
		return false
	}
	f.End = f.Start + h.PacketEnd
	b := f.Bytes()
	turnIP(b[h.L3:], h)
	p := b[h.L4:]
	old := binary.BigEndian.Uint16(p)
	p[0] = reply
	if f.Offload.Checksum != ChecksumPartial {
		updateEchoSum(p, old)
	}
	SetMACs(f, h.Src, h.Dst)
	h.Key = h.Key.Reverse()
	h.ICMPType, h.TTL = reply, answerTTL
	return true
}

// updateEchoSum updates the checksum of the ICMP message p for its first word,
// which was old. A sum of zero is written in its other form, 0xffff: where all
// else is zero, as in a reply with identifier, sequence and data of zero, which
// no pseudo-header saves, only that form is right (RFC 1624 section 5), and
// where it is not, either is.
func updateEchoSum(p []byte, old uint16) {
	sum := checksum.Update(binary.BigEndian.Uint16(p[icmpChecksum:]), old, binary.BigEndian.Uint16(p))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(p[icmpChecksum:], sum)
}

// echoReply returns the type that answers an echo request.
func echoReply(h *Headers) (reply uint8, asked bool) {
	switch {
	case h.Kind != KindIP:
		return 0, false
	case h.Key.Proto == ProtoICMP:
		return ICMPEchoReply, h.ICMPType == ICMPEchoRequest
	case h.Key.Proto == ProtoICMPv6:
		return ICMPv6EchoReply, h.ICMPType == ICMPv6EchoRequest
	}
	return 0, false
}

// turnIP swaps the addresses of an IP header, which no sum notices, and makes
// its TTL new, which IPv4's own does.
func turnIP(ip []byte, h *Headers) {
	if h.V6 {
		copy(ip[8:24], h.Key.Dst[:])
		copy(ip[24:40], h.Key.Src[:])
		ip[7] = answerTTL
		return
	}
	copy(ip[12:16], h.Key.Dst[12:])
	copy(ip[16:20], h.Key.Src[12:])
	old := binary.BigEndian.Uint16(ip[8:])
	ip[8] = answerTTL
	sum := binary.BigEndian.Uint16(ip[10:])
	binary.BigEndian.PutUint16(ip[10:], checksum.Update(sum, old, binary.BigEndian.Uint16(ip[8:])))
}

// isGroup tells of an address that is never one host's: multicast, or IPv4's
// limited broadcast.
func isGroup(a *Addr) bool {
	if a.Is4() {
		return a[12]>>4 == 14 || *a == Addr{10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff}
	}
	return a[0] == 0xff
}
