package packet

import (
	"encoding/binary"

	"bulkhead/dataplane/checksum"
)

// Segmentation cuts a superframe into the frames that its sender would have
// sent without offload. Headers are repeated; lengths, IPv4 identifications,
// TCP sequence numbers and flags are counted on; every checksum is finished.
// In a tunnel the outer headers are repeated, too, and their lengths, IPv4
// checksum and, if it is used, UDP checksum are made anew. What Linux does in
// tcp_gso_segment and __udp_gso_segment, on bytes.

// WireLen returns the length in bytes of the longest IP packet that f will be
// on a wire: what an MTU is held against. For a superframe that is a segment's.
func WireLen(f *Frame) int {
	h := &f.Headers
	if f.Offload.GSO == GSONone {
		return int(h.PacketEnd) - int(h.L3)
	}
	return int(h.Payload) - int(h.L3) + min(int(f.Offload.Size), int(h.PacketEnd)-int(h.Payload))
}

// Segmenter cuts one superframe. The zero value is ready for Init. It holds no
// memory of its own.
type Segmenter struct {
	frame         []byte
	outer         int // bytes of tunnel headers; 0 without a tunnel
	l3, l4        int // of the inner packet, from the frame's start
	payload, end  int
	at            int // the payload byte to come next
	size          int
	count         int // segments made
	tcp, v6       bool
	ecn           bool
	outerChecksum bool
}

// Init prepares to cut f, a parsed superframe whose transport checksum is
// partial. It returns false if f is none.
//
// Headers were parsed before a tunnel was pushed, so with f.Outer set their
// offsets count from behind it.
func (s *Segmenter) Init(f *Frame) bool {
	h, o := &f.Headers, &f.Offload
	if o.GSO == GSONone || o.Size == 0 || o.Checksum != ChecksumPartial {
		return false
	}
	outer := int(f.Outer)
	*s = Segmenter{
		frame: f.Bytes(), outer: outer,
		l3: outer + int(h.L3), l4: outer + int(h.L4),
		payload: outer + int(h.Payload), end: outer + int(h.PacketEnd),
		at: outer + int(h.Payload), size: int(o.Size),
		tcp: o.GSO == GSOTCP4 || o.GSO == GSOTCP6, v6: h.V6, ecn: o.ECN,
	}
	if outer > 0 {
		s.outerChecksum = binary.BigEndian.Uint16(s.frame[outer-10:]) != 0
	}
	return s.payload < s.end
}

// NextLen returns the length of the next segment as a frame, 0 after the last.
func (s *Segmenter) NextLen() int {
	if s.at >= s.end {
		return 0
	}
	return s.payload + min(s.size, s.end-s.at)
}

// Next writes the next segment to dst, which is NextLen bytes long.
func (s *Segmenter) Next(dst []byte) {
	n := len(dst) - s.payload
	copy(dst, s.frame[:s.payload])
	copy(dst[s.payload:], s.frame[s.at:s.at+n])
	if s.tcp {
		s.writeTCP(dst, n)
	} else {
		binary.BigEndian.PutUint16(dst[s.l4+4:], uint16(udpLen+n))
	}
	s.writeIP(dst, s.l3, s.v6)
	s.finish(dst)
	if s.outer > 0 {
		s.writeOuter(dst)
	}
	s.at += n
	s.count++
}

// writeTCP counts the sequence number on, keeps FIN and PSH for the last
// segment and CWR for the first (RFC 3168 6.1.2).
func (s *Segmenter) writeTCP(dst []byte, n int) {
	p := dst[s.l4:]
	binary.BigEndian.PutUint32(p[4:], binary.BigEndian.Uint32(p[4:])+uint32(s.at-s.payload))
	if s.at+n < s.end {
		p[13] &^= TCPFin | TCPPsh
	}
	if s.count > 0 && s.ecn {
		p[13] &^= TCPCwr
	}
}

// writeIP writes the length of the packet at l3, and for IPv4 counts its
// identification on and makes its checksum anew.
func (s *Segmenter) writeIP(dst []byte, l3 int, v6 bool) {
	p := dst[l3:]
	if v6 {
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-ipv6Len))
		return
	}
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[4:], binary.BigEndian.Uint16(p[4:])+uint16(s.count))
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:int(p[0]&15)*4], 0))
}

// finish writes the transport checksum of the segment.
func (s *Segmenter) finish(dst []byte) {
	at, proto := 6, uint8(ProtoUDP)
	if s.tcp {
		at, proto = 16, ProtoTCP
	}
	ip, p := dst[s.l3:], dst[s.l4:]
	p[at], p[at+1] = 0, 0
	sum := checksum.Of(p, pseudoOf(ip, s.v6, proto, uint32(len(p))))
	if sum == 0 && !s.tcp {
		sum = 0xffff // zero would say that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(p[at:], sum)
}

// pseudoOf is the pseudo-header's sum for the IP header at ip.
func pseudoOf(ip []byte, v6 bool, proto uint8, n uint32) uint64 {
	if v6 {
		return checksum.Pseudo(ip[8:24], ip[24:40], proto, n)
	}
	return checksum.Pseudo(ip[12:16], ip[16:20], proto, n)
}

// Outer headers are Ethernet without tags, IP without options, UDP, VXLAN.
const vxlanLen = 8

// writeOuter makes the tunnel's lengths and checksums those of the segment.
func (s *Segmenter) writeOuter(dst []byte) {
	v6 := s.outer == ethernetLen+ipv6Len+udpLen+vxlanLen
	s.writeIP(dst, ethernetLen, v6)
	udp := dst[s.outer-udpLen-vxlanLen:]
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	udp[6], udp[7] = 0, 0
	if !s.outerChecksum {
		return
	}
	sum := checksum.Of(udp, pseudoOf(dst[ethernetLen:], v6, ProtoUDP, uint32(len(udp))))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
}

// FinishChecksum finishes the partial transport checksum of a frame that is no
// superframe: whoever sends it on wants it whole.
func FinishChecksum(f *Frame) {
	o := &f.Offload
	if o.Checksum != ChecksumPartial {
		return
	}
	end := uint32(f.Outer) + f.Headers.PacketEnd
	p := f.Bytes()[o.CsumStart:end]
	// The field holds the pseudo-header's sum, so it is summed with the rest.
	sum := checksum.Of(p, 0)
	if sum == 0 && f.Headers.Key.Proto == ProtoUDP {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(p[o.CsumOffset:], sum)
	o.Checksum = ChecksumGood
}

// PartialChecksum tells whether the transport checksum of a parsed frame is
// unfinished: it equals the folded sum of the pseudo-header. On a veth that is
// how a packet comes whose sender left the rest to a device that is not there.
// If it is, the frame is marked so. A whole checksum that looks so by chance
// is, when finished, the same one again, so a mistake harms nothing.
func PartialChecksum(f *Frame) bool {
	h := &f.Headers
	at, known := checksumOffset(h.Key.Proto)
	if !known || h.Kind != KindIP || h.Key.Proto == ProtoICMPv6 {
		return false
	}
	n := h.PacketEnd - uint32(h.L4)
	field := binary.BigEndian.Uint16(f.Bytes()[h.L4+at:])
	if field != checksum.Fold(PseudoSum(h, n)) {
		return false
	}
	f.Offload.Checksum, f.Offload.CsumStart, f.Offload.CsumOffset = ChecksumPartial, h.L4, at
	return true
}
