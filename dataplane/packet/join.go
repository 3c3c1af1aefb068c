package packet

import (
	"bytes"
	"encoding/binary"

	"bulkhead/dataplane/checksum"
)

// Joiner puts TCP segments that follow one another back into the superframe
// that they were cut from, or might have been: what Linux does in
// tcp_gro_receive, on bytes. A device that takes superframes then takes a
// stream of frames from a wire in as few pieces as one from a neighbour.
//
// Only what says the same in every header may be joined, so that cutting the
// superframe gives the frames back; and only what is known to be whole, because
// the superframe's checksum will be made anew.
//
// It holds 64 KiB of memory, given to Init. Copying begins with the second
// segment: a frame that nothing follows costs a few comparisons.
type Joiner struct {
	buf   []byte
	head  *Frame // the first segment; nil: none
	end   uint32 // of the superframe in buf
	next  uint32 // the sequence number to come
	size  int    // payload bytes of every segment but the last
	count int
	psh   bool
	done  bool // no segment can follow
}

// JoinerSize is the memory that a Joiner needs.
const JoinerSize = Headroom + MaxFrame

// Init gives the joiner its memory, JoinerSize bytes.
func (j *Joiner) Init(buf []byte) { *j = Joiner{buf: buf} }

// Start begins a superframe with f, a parsed frame that is on its way out. It
// returns false if f is no segment that another could follow. f must stay as it
// is until the joiner is done with.
func (j *Joiner) Start(f *Frame) bool {
	if !joinable(f) {
		return false
	}
	h := &f.Headers
	size := h.PacketEnd - uint32(h.Payload)
	*j = Joiner{buf: j.buf, head: f, size: int(size), count: 1, next: seqOf(f) + size, done: h.TCPFlags&TCPPsh != 0}
	return true
}

// SameFlow tells whether f belongs to the connection, and direction, of the
// superframe begun.
func (j *Joiner) SameFlow(f *Frame) bool { return j.head != nil && j.head.Headers.Key == f.Headers.Key }

// Stop lets no segment follow: a frame that could not be joined has passed.
func (j *Joiner) Stop() { j.done = true }

// Count returns the number of segments.
func (j *Joiner) Count() int { return j.count }

// Add puts a segment behind those there are. It returns false if it is not the
// one that follows, or differs in what a superframe has once.
func (j *Joiner) Add(f *Frame) bool {
	if j.head == nil || j.done || !joinable(f) || seqOf(f) != j.next || !sameHeaders(j.head, f) {
		return false
	}
	h := &f.Headers
	payload := f.Bytes()[h.Payload:h.PacketEnd]
	if j.count == 1 {
		head := j.head.Bytes()[:j.head.Headers.PacketEnd]
		j.end = Headroom + uint32(copy(j.buf[Headroom:], head))
	}
	ip := int(j.end) - Headroom - int(h.L3) + len(payload)
	if len(payload) > j.size || ip > 0xffff || j.count == maxSegments {
		j.done = true
		return false
	}
	j.end += uint32(copy(j.buf[j.end:], payload))
	j.next += uint32(len(payload))
	j.count++
	j.psh = h.TCPFlags&TCPPsh != 0
	j.done = j.psh || len(payload) < j.size
	return true
}

// Frame makes out the superframe; Count must be above one.
func (j *Joiner) Frame(out *Frame) {
	h := j.head.Headers
	out.Begin(j.buf, Headroom, j.end, j.head.Ingress)
	out.Egress, out.Rule = j.head.Egress, j.head.Rule
	b := out.Bytes()
	ip, tcp := b[h.L3:], b[h.L4:]
	out.Offload = Offload{Checksum: ChecksumPartial, GSO: GSOTCP4, CsumStart: h.L4, CsumOffset: tcpChecksum, Size: uint16(j.size), HeaderLen: h.Payload}
	if h.V6 {
		out.Offload.GSO = GSOTCP6
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ipv6Len))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], checksum.Of(ip[:ipv4Len], 0))
	}
	if j.psh {
		tcp[13] |= TCPPsh
		h.TCPFlags |= TCPPsh
	}
	binary.BigEndian.PutUint16(tcp[tcpChecksum:], checksum.Fold(PseudoSum(&h, uint32(len(tcp)))))
	h.PacketEnd = uint32(len(b))
	out.Headers = h
}

// joinable tells of a frame that is data and nothing else, in headers without
// what few have: IPv4 with DF, so that its identification means nothing (RFC
// 6864), and no options; IPv6 without extensions.
func joinable(f *Frame) bool {
	h := &f.Headers
	if h.Key.Proto != ProtoTCP || h.TCPFlags&^TCPPsh != TCPAckFlag || h.PacketEnd <= uint32(h.Payload) ||
		h.Kind != KindIP || h.VLANs != 0 || f.Outer != 0 || f.Offload.GSO != GSONone {
		return false
	}
	if c := f.Offload.Checksum; c != ChecksumGood && c != ChecksumPartial {
		return false
	}
	if h.V6 {
		return h.L4-h.L3 == ipv6Len
	}
	return h.L4-h.L3 == ipv4Len && f.Bytes()[h.L3+6]&0x40 != 0
}

func seqOf(f *Frame) uint32 { return binary.BigEndian.Uint32(f.Bytes()[f.Headers.L4+4:]) }

// sameHeaders tells whether two joinable frames differ in no header but for
// lengths, checksums, identification, sequence number and PSH.
func sameHeaders(a, b *Frame) bool {
	h := &a.Headers
	if h.L3 != b.Headers.L3 || h.L4 != b.Headers.L4 || h.Payload != b.Headers.Payload || h.V6 != b.Headers.V6 {
		return false
	}
	p, q := a.Bytes()[:h.Payload], b.Bytes()[:h.Payload]
	if !bytes.Equal(p[:h.L3], q[:h.L3]) {
		return false
	}
	ip, ip2, tcp, tcp2 := p[h.L3:h.L4], q[h.L3:h.L4], p[h.L4:], q[h.L4:]
	if h.V6 {
		if !bytes.Equal(ip[:4], ip2[:4]) || !bytes.Equal(ip[6:], ip2[6:]) {
			return false
		}
	} else if !bytes.Equal(ip[:2], ip2[:2]) || !bytes.Equal(ip[6:10], ip2[6:10]) || !bytes.Equal(ip[12:], ip2[12:]) {
		return false
	}
	return bytes.Equal(tcp[:4], tcp2[:4]) && bytes.Equal(tcp[8:13], tcp2[8:13]) &&
		bytes.Equal(tcp[14:16], tcp2[14:16]) && bytes.Equal(tcp[18:], tcp2[18:])
}
