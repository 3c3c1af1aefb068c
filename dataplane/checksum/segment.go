package checksum

import "encoding/binary"

// Lengths in bytes of the headers that segmentation writes into.
const (
	ethernetLen = 14
	ipv4Len     = 20
	ipv6Len     = 40
	udpLen      = 8
	vxlanLen    = 8

	outer4Len = ethernetLen + ipv4Len + udpLen + vxlanLen
	outer6Len = ethernetLen + ipv6Len + udpLen + vxlanLen
)

// Protocols that can be cut (IANA).
const (
	protoTCP = 6
	protoUDP = 17
)

// Flags of TCP that not every segment carries.
const (
	tcpFin = 0x01
	tcpPsh = 0x08
	tcpCwr = 0x80
)

// Superframe is a frame to cut, and where its headers are. Offsets count from
// the frame's first byte.
type Superframe struct {
	Frame []byte
	// Outer is the length of the tunnel headers that the frame begins with:
	// Ethernet without tags, IPv4 without options or IPv6 without extensions,
	// UDP and VXLAN. Zero without a tunnel.
	Outer   int
	L3, L4  int  // the IP and the transport header
	Payload int  // the first byte behind the transport header
	End     int  // the end of the IP packet
	Size    int  // payload bytes a segment
	V6, TCP bool // what is at L3, and at L4: TCP, else UDP
}

// Segmenter cuts a superframe into the frames that its sender would have sent
// without offload. Headers are repeated; lengths, IPv4 identifications, TCP
// sequence numbers and flags are counted on; each checksum is finished. The
// headers of a tunnel are repeated, too. It is what Linux does in
// tcp_gso_segment, __udp_gso_segment and skb_udp_tunnel_segment, on bytes.
//
// The zero value is ready for Init. It holds no memory of its own, and reads
// the superframe until the last Next.
type Segmenter struct {
	f        Superframe
	at       int // the payload byte to come next
	count    int // segments made
	outerSum bool
	outerV6  bool
}

// Init prepares to cut f. It returns false if f has no payload, or its offsets
// contradict each other or the frame.
func (s *Segmenter) Init(f Superframe) bool {
	*s = Segmenter{}
	transport := udpLen
	if f.TCP {
		transport = 20
	}
	network := ipv4Len
	if f.V6 {
		network = ipv6Len
	}
	if f.Size <= 0 || f.Outer < 0 || f.L3 < f.Outer+ethernetLen || f.L4 < f.L3+network ||
		f.Payload < f.L4+transport || f.End <= f.Payload || f.End > len(f.Frame) {
		return false
	}
	if !f.V6 && f.L4-f.L3 != int(f.Frame[f.L3]&15)*4 {
		return false
	}
	switch f.Outer {
	case 0:
	case outer4Len, outer6Len:
		s.outerV6 = f.Outer == outer6Len
		s.outerSum = binary.BigEndian.Uint16(f.Frame[f.Outer-vxlanLen-2:]) != 0
	default:
		return false
	}
	s.f, s.at = f, f.Payload
	return true
}

// NextLen returns the length in bytes of the next segment as a frame, tunnel
// included; 0 after the last.
func (s *Segmenter) NextLen() int {
	if s.at >= s.f.End {
		return 0
	}
	return s.f.Payload + min(s.f.Size, s.f.End-s.at)
}

// Next writes the next segment, whole and with its checksums, to the front of
// dst and returns its length: 0 after the last, or if dst is shorter than
// NextLen. dst does not overlap the superframe.
func (s *Segmenter) Next(dst []byte) int {
	size := s.NextLen()
	if size == 0 || size > len(dst) {
		return 0
	}
	dst = dst[:size:size]
	n := copy(dst[s.f.Payload:], s.f.Frame[s.at:])
	copy(dst, s.f.Frame[:s.f.Payload])
	if s.f.TCP {
		s.writeTCP(dst[s.f.L4:], n)
	} else {
		s.writeUDP(dst[s.f.L4:])
	}
	s.writeIP(dst[s.f.L3:], s.f.V6)
	s.writeSum(dst)
	if s.f.Outer > 0 {
		s.writeOuter(dst)
	}
	s.at += n
	s.count++
	return size
}

// writeTCP counts the sequence number on, keeps FIN and PSH for the last
// segment and CWR for the first (RFC 3168 6.1.2).
func (s *Segmenter) writeTCP(p []byte, n int) {
	seq := binary.BigEndian.Uint32(p[4:])
	binary.BigEndian.PutUint32(p[4:], seq+uint32(s.at-s.f.Payload))
	if s.at+n < s.f.End {
		p[13] &^= tcpFin | tcpPsh
	}
	if s.count > 0 {
		p[13] &^= tcpCwr
	}
}

// writeUDP makes a UDP header's length that of p.
func (s *Segmenter) writeUDP(p []byte) {
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)))
}

// writeIP makes an IP header's length that of p, and for IPv4 counts the
// identification on, so that no two segments could be taken for fragments of
// one packet (RFC 6864), and makes the header's checksum anew.
func (s *Segmenter) writeIP(p []byte, v6 bool) {
	if v6 {
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-ipv6Len))
		return
	}
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	id := binary.BigEndian.Uint16(p[4:])
	binary.BigEndian.PutUint16(p[4:], id+uint16(s.count))
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], Of(p[:int(p[0]&15)*4], 0))
}

// writeSum writes the transport checksum. What the superframe's field held is
// not used: the pseudo-header's length is another now.
func (s *Segmenter) writeSum(dst []byte) {
	if s.f.TCP {
		putSum(dst[s.f.L3:], dst[s.f.L4:], 16, protoTCP, s.f.V6)
	} else {
		putSum(dst[s.f.L3:], dst[s.f.L4:], 6, protoUDP, s.f.V6)
	}
}

// writeOuter makes the tunnel's lengths and checksums those of the segment. A
// UDP checksum that the tunnel does without stays zero (RFC 7348 5, RFC 6935).
func (s *Segmenter) writeOuter(dst []byte) {
	ip, udp := dst[ethernetLen:], dst[s.f.Outer-udpLen-vxlanLen:]
	s.writeUDP(udp)
	s.writeIP(ip, s.outerV6)
	if s.outerSum {
		s.putOuterSum(dst, ip, udp)
	}
}

// putOuterSum writes the tunnel's UDP checksum. The inner transport checksum
// has just been made right, so what it covers sums to the complement of its
// pseudo-header: the payload is not read again.
func (s *Segmenter) putOuterSum(dst, ip, udp []byte) {
	clear(udp[6:8])
	proto := uint8(protoUDP)
	if s.f.TCP {
		proto = protoTCP
	}
	inner := ^Fold(pseudoOf(dst[s.f.L3:], s.f.V6, proto, len(dst)-s.f.L4))
	sum := pseudoOf(ip, s.outerV6, protoUDP, len(udp)) + uint64(inner)
	sum = Sum(dst[len(dst)-len(udp):s.f.L4], sum)
	c := ^Fold(sum)
	if c == 0 {
		c = 0xffff // zero would say that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(udp[6:], c)
}

// pseudoOf returns the sum of the pseudo-header of n bytes under the IP header
// ip.
func pseudoOf(ip []byte, v6 bool, proto uint8, n int) uint64 {
	if v6 {
		return Pseudo(ip[8:24], ip[24:40], proto, uint32(n))
	}
	return Pseudo(ip[12:16], ip[16:20], proto, uint32(n))
}

// putSum writes the checksum of the transport packet p at field, under the IP
// header ip.
func putSum(ip, p []byte, field int, proto uint8, v6 bool) {
	p[field], p[field+1] = 0, 0
	sum := Of(p, pseudoOf(ip, v6, proto, len(p)))
	if sum == 0 && proto == protoUDP {
		sum = 0xffff // zero would say that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(p[field:], sum)
}
