// Package vxlan carries frames between hosts (RFC 7348): Ethernet in UDP, with
// a 24-bit segment number, the VNI.
//
//	+----------+---------+-----+-----------------------------+-------------+
//	| Ethernet | IPv4/6  | UDP | I flag | reserved | VNI | 0 | inner frame |
//	+----------+---------+-----+-----------------------------+-------------+
//
// A [Table] says which VNIs are here, who our VTEP is, and who the peers of
// each VNI are: rows, not interfaces. It is built off the path and never
// changed; any number of workers use it at once.
//
// The outer source address proves nothing by itself: whoever can forge packets
// on the underlay can forge it. What a peer may say is bounded by what is
// registered there; secrecy and proof of origin are for the underlay (WireGuard,
// IPsec).
package vxlan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"bulkhead/dataplane/checksum"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// DefaultPort is VXLAN's UDP port (IANA).
const DefaultPort = 4789

const (
	headerLen = 8
	flagVNI   = 0x08 // the I flag
	etherLen  = 14
	udpLen    = 8
	ipv4Len   = 20
	ipv6Len   = 40
)

// Overhead is what a tunnel adds to a frame, in bytes, by family of the
// underlay. An inner packet may be Overhead less Ethernet's own header smaller
// than the underlay's MTU.
const (
	Overhead4 = etherLen + ipv4Len + udpLen + headerLen
	Overhead6 = etherLen + ipv6Len + udpLen + headerLen
)

// NoPeer is the number of no peer.
const NoPeer = 0xffff

// MaxVNI is the largest VNI.
const MaxVNI = 1<<24 - 1

// Table is the overlay as this host sees it.
type Table struct {
	port     uint16
	local    []packet.Addr
	segments map[uint32]uint16 // by VNI
	vnis     map[uint16]uint32 // by segment
	remotes  map[packet.Addr]uint16
	peers    []packet.Addr // by peer number; zero: none
	members  map[uint16][]uint16
	member   map[uint32]bool // segment<<16 | peer
}

// Inner is what a tunnel's headers say.
type Inner struct {
	Segment uint16
	Peer    uint16
	VNI     uint32
	Pull    int // bytes of headers before the inner frame
}

// Decap reads the tunnel headers of f, a parsed frame from an uplink, and
// changes nothing. The frame must be for our VTEP, its VNI must be here, and
// its source a peer of that VNI. Reserved bits are not looked at (RFC 7348 5).
func (t *Table) Decap(f *packet.Frame) (Inner, drop.Reason) {
	h := &f.Headers
	if h.VLANs != 0 || h.Key.Proto != packet.ProtoUDP || h.Key.DstPort != t.port || !slices.Contains(t.local, h.Key.Dst) {
		return Inner{}, drop.UplinkOther
	}
	if h.PacketEnd-uint32(h.Payload) < headerLen {
		return Inner{}, drop.BadVXLAN
	}
	v := f.Bytes()[h.Payload:]
	if v[0]&flagVNI == 0 {
		return Inner{}, drop.BadVXLAN
	}
	vni := binary.BigEndian.Uint32(v[4:]) >> 8
	segment, known := t.segments[vni]
	if !known {
		return Inner{}, drop.UnknownVNI
	}
	peer, known := t.remotes[h.Key.Src]
	if !known || !t.member[uint32(segment)<<16|uint32(peer)] {
		return Inner{}, drop.UnknownPeer
	}
	if !checksumRight(f) {
		return Inner{}, drop.BadChecksum
	}
	return Inner{Segment: segment, Peer: peer, VNI: vni, Pull: int(h.Payload) + headerLen}, drop.None
}

// checksumRight holds the outer UDP checksum against the packet, where there
// is one. Zero is none: that is how VXLAN is sent, over IPv6 as well (RFC 7348
// 5, RFC 6935).
func checksumRight(f *packet.Frame) bool {
	p := f.Bytes()[f.Headers.L4:]
	return binary.BigEndian.Uint16(p[6:]) == 0 || packet.VerifyChecksum(f)
}

// DecapECN carries the underlay's congestion mark into the inner packet, which
// has been parsed (RFC 6040 4.2): CE is handed on where the inner packet can
// bear it, and where it cannot the packet is dropped; ECT(1) replaces ECT(0).
func DecapECN(f *packet.Frame, outerTOS uint8) drop.Reason {
	const notECT, ect1, ect0, ce = 0, 1, 2, 3
	if f.Headers.Kind == packet.KindARP {
		return drop.None
	}
	inner := f.TOS()
	switch outer := outerTOS & 3; {
	case outer == ce && inner&3 == notECT:
		return drop.BadVXLAN
	case outer == ce && inner&3 != ce, outer == ect1 && inner&3 == ect0:
		packet.SetTOS(f, inner&^3|outer)
	}
	return drop.None
}

// Encap puts a parsed frame into a tunnel to a peer of its segment: f then
// begins with the outer Ethernet header. src and dst are the underlay's MACs,
// hash the flow's symmetric hash, which chooses the source port so that the
// underlay spreads flows and keeps each in order (RFC 7348 5). f.Headers keep
// the offsets of the inner frame, which count from behind f.Outer.
func (t *Table) Encap(f *packet.Frame, segment, peer uint16, src, dst packet.MAC, hash uint32) drop.Reason {
	vni, known := t.vnis[segment]
	if !known || !t.member[uint32(segment)<<16|uint32(peer)] {
		return drop.UnknownPeer
	}
	remote := &t.peers[peer]
	local, found := t.localFor(remote)
	if !found {
		return drop.NoUplink
	}
	size, ip := uint32(Overhead4), ipv4Len
	if !remote.Is4() {
		size, ip = Overhead6, ipv6Len
	}
	tos := innerTOS(f)
	if !f.Push(size) {
		return drop.NoHeadroom
	}
	f.Outer = uint16(size)
	b := f.Bytes()
	copy(b[0:6], dst[:])
	copy(b[6:12], src[:])
	udp := b[etherLen+ip:]
	if ip == ipv4Len {
		binary.BigEndian.PutUint16(b[12:], packet.EtherTypeIPv4)
		writeIPv4(b[etherLen:], local, remote, tos)
	} else {
		binary.BigEndian.PutUint16(b[12:], packet.EtherTypeIPv6)
		writeIPv6(b[etherLen:], local, remote, tos)
	}
	binary.BigEndian.PutUint16(udp, sourcePort(hash))
	binary.BigEndian.PutUint16(udp[2:], t.port)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	binary.BigEndian.PutUint16(udp[6:], 0)
	binary.BigEndian.PutUint32(udp[8:], flagVNI<<24)
	binary.BigEndian.PutUint32(udp[12:], vni<<8)
	return drop.None
}

// sourcePort spreads hashes over the dynamic ports (RFC 6335).
func sourcePort(hash uint32) uint16 { return uint16(49152 + (hash^hash>>16)&0x3fff) }

// innerTOS is the outer packet's type of service: the inner one's (RFC 6040
// 4.1, normal mode), or none for what is not IP.
func innerTOS(f *packet.Frame) uint8 {
	if f.Headers.Kind == packet.KindARP {
		return 0
	}
	return f.TOS()
}

const outerTTL = 64

// writeIPv4 writes the outer header: DF set, because a VTEP must not fragment
// (RFC 7348 4.3). For a superframe the length is the whole's, modulo 2^16; the
// segmenter writes each segment's.
func writeIPv4(p []byte, src, dst *packet.Addr, tos uint8) {
	clear(p[:ipv4Len])
	p[0], p[1] = 0x45, tos
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[6], p[8], p[9] = 0x40, outerTTL, packet.ProtoUDP
	copy(p[12:16], src[12:])
	copy(p[16:20], dst[12:])
	binary.BigEndian.PutUint16(p[10:], checksum.Of(p[:ipv4Len], 0))
}

func writeIPv6(p []byte, src, dst *packet.Addr, tos uint8) {
	binary.BigEndian.PutUint32(p, 6<<28|uint32(tos)<<20)
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)-ipv6Len))
	p[6], p[7] = packet.ProtoUDP, outerTTL
	copy(p[8:24], src[:])
	copy(p[24:40], dst[:])
}

// localFor returns our address of the family of a peer's.
func (t *Table) localFor(remote *packet.Addr) (*packet.Addr, bool) {
	for i := range t.local {
		if t.local[i].Is4() == remote.Is4() {
			return &t.local[i], true
		}
	}
	return nil, false
}

// Peers returns the peers of a segment, for head-end replication.
func (t *Table) Peers(segment uint16) []uint16 { return t.members[segment] }

// PeerAddr returns a peer's address on the underlay.
func (t *Table) PeerAddr(peer uint16) (packet.Addr, bool) {
	if int(peer) >= len(t.peers) || t.peers[peer] == (packet.Addr{}) {
		return packet.Addr{}, false
	}
	return t.peers[peer], true
}

// Builder collects an overlay.
type Builder struct {
	t    Table
	errs []error
}

// NewBuilder makes an overlay without segments or peers.
func NewBuilder() *Builder {
	return &Builder{t: Table{
		port: DefaultPort, segments: map[uint32]uint16{}, vnis: map[uint16]uint32{},
		remotes: map[packet.Addr]uint16{}, members: map[uint16][]uint16{}, member: map[uint32]bool{},
	}}
}

// Port sets the UDP port; zero leaves the default.
func (b *Builder) Port(port uint16) {
	if port != 0 {
		b.t.port = port
	}
}

// Local adds an address of our VTEP.
func (b *Builder) Local(a packet.Addr) { b.t.local = append(b.t.local, a) }

// Segment gives a segment its VNI.
func (b *Builder) Segment(segment uint16, vni uint32) {
	if vni == 0 || vni > MaxVNI {
		b.refuse("VNI %d: must be from 1 to %d", vni, MaxVNI)
	}
	if _, taken := b.t.segments[vni]; taken {
		b.refuse("VNI %d: two segments have it", vni)
	}
	if other, taken := b.t.vnis[segment]; taken {
		b.refuse("segment %d: it has two VNIs, %d and %d", segment, other, vni)
	}
	b.t.segments[vni], b.t.vnis[segment] = segment, vni
}

// Peer adds a peer, by number and address, in the segments given, which have
// their VNIs already.
func (b *Builder) Peer(peer uint16, a packet.Addr, segments []uint16) {
	if _, taken := b.t.remotes[a]; taken {
		b.refuse("peer %s: the address is taken", a)
	}
	if peer == NoPeer {
		b.refuse("peer %s: its number, %d, stands for none", a, peer)
		return
	}
	if _, taken := b.t.PeerAddr(peer); taken {
		b.refuse("peer %s: its number, %d, is taken", a, peer)
	}
	b.t.remotes[a] = peer
	for len(b.t.peers) <= int(peer) {
		b.t.peers = append(b.t.peers, packet.Addr{})
	}
	b.t.peers[peer] = a
	for _, s := range segments {
		b.join(peer, a, s)
	}
}

// join makes a peer a member of a segment.
func (b *Builder) join(peer uint16, a packet.Addr, segment uint16) {
	if _, known := b.t.vnis[segment]; !known {
		b.refuse("peer %s: segment %d has no VNI", a, segment)
	}
	key := uint32(segment)<<16 | uint32(peer)
	if b.t.member[key] {
		b.refuse("peer %s: segment %d stands twice", a, segment) // it would be flooded to twice
	}
	b.t.members[segment] = append(b.t.members[segment], peer)
	b.t.member[key] = true
}

func (b *Builder) refuse(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

// Build makes the table, or says all that contradicts itself.
func (b *Builder) Build() (*Table, error) {
	for i, a := range b.t.local {
		if _, taken := b.t.remotes[a]; taken {
			b.refuse("peer %s: the address is taken", a)
		}
		for _, other := range b.t.local[i+1:] {
			if a.Is4() == other.Is4() {
				b.refuse("VTEP %s: there is another address of its family, %s", a, other)
			}
		}
	}
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	t := b.t
	return &t, nil
}
