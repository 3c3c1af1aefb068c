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
// # Checksums
//
// Over IPv4 the outer UDP checksum is left out (RFC 7348 5). Over IPv6 it is
// sent, because a receiver need not take a packet without one (RFC 6936 5) and
// Linux does not unless told to; [Builder.ZeroChecksum6] leaves it out. It
// covers the inner frame, and mostly costs nothing: once an inner transport
// checksum is right, what it covers sums to the complement of its
// pseudo-header, which is known. So only headers are read, and the two
// checksums of a frame may be finished by different hands (Linux calls it local
// checksum offload).
//
// # Groups
//
// With a peer the Group Policy extension may be spoken
// (draft-smith-vxlan-group-policy-05; Linux: vxlan ... gbp):
//
//	 0                   1                   2                   3
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|G|R|R|R|I|R|R|R|R|D|R|R|A|R|R|R|        Group Policy ID        |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// The number says which group the sender is of, and is believed of a peer that
// [Builder.Speaks] lets speak for it. A, "the policy has been applied", is not
// looked at and never set: whoever delivers a frame judges it. D, "do not learn",
// is heeded. Linux without gbp drops what has the G flag, so nothing is said to a
// peer with which the extension is not spoken.
//
// # Trust
//
// The outer source address proves nothing by itself: whoever can forge packets
// on the underlay can forge it. What a peer may say is bounded by what is
// registered there; secrecy and proof of origin are for the underlay (WireGuard,
// IPsec).
package vxlan

import (
	"errors"
	"fmt"

	"bulkhead/dataplane/packet"
)

// DefaultPort is VXLAN's UDP port (IANA).
const DefaultPort = 4789

const (
	headerLen = 8
	flagVNI   = 0x08 // the I flag
	flagGroup = 0x80 // the G flag, of the Group Policy extension
	flagMute  = 0x40 // its D bit, in the next byte: do not learn from the frame
	etherLen  = 14
	udpLen    = 8
	ipv4Len   = 20
	ipv6Len   = 40
)

// Overhead is what a tunnel adds to a frame, in bytes, by family of the
// underlay. An inner packet, which has an Ethernet header of its own, may be as
// many bytes smaller than the underlay's MTU.
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
	zero6    bool // no outer checksum over IPv6
	local    []packet.Addr
	segments map[uint32]uint16 // by VNI
	vnis     map[uint16]uint32 // by segment
	remotes  map[packet.Addr]uint16
	peers    []packet.Addr // by peer number; zero: none
	members  map[uint16][]uint16
	member   map[uint32]bool // segment<<16 | peer
	grouped  bool            // groups mean something here
	speaks   []bool          // by peer: the extension is spoken with it
	may      map[uint32]bool // peer<<16 | group: it may speak for the group
}

// Peers returns the peers of a segment, for head-end replication.
func (t *Table) Peers(segment uint16) []uint16 { return t.members[segment] }

// Overhead returns what a tunnel to a peer adds to a frame, in bytes.
func (t *Table) Overhead(peer uint16) uint32 {
	if int(peer) < len(t.peers) && !t.peers[peer].Is4() {
		return Overhead6
	}
	return Overhead4
}

// Speaks tells whether the Group Policy extension is spoken with a peer.
func (t *Table) Speaks(peer uint16) bool { return int(peer) < len(t.speaks) && t.speaks[peer] }

// IsOurs tells whether a packet of our VTEP is a tunnel to a peer.
func (t *Table) IsOurs(k *packet.Key) bool {
	_, known := t.remotes[k.Dst]
	return known && k.Proto == packet.ProtoUDP && k.DstPort == t.port && k.SrcPort >= firstSourcePort
}

// MaySpeak tells whether a peer may speak for a group.
func (t *Table) MaySpeak(peer, group uint16) bool { return t.may[uint32(peer)<<16|uint32(group)] }

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
		remotes: map[packet.Addr]uint16{}, members: map[uint16][]uint16{}, member: map[uint32]bool{}, may: map[uint32]bool{},
	}}
}

// Port sets the UDP port; zero leaves the default.
func (b *Builder) Port(port uint16) {
	if port != 0 {
		b.t.port = port
	}
}

// ZeroChecksum6 leaves the outer UDP checksum out over IPv6, too: every peer
// must have been told to take that.
func (b *Builder) ZeroChecksum6() { b.t.zero6 = true }

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
		b.t.peers, b.t.speaks = append(b.t.peers, packet.Addr{}), append(b.t.speaks, false)
	}
	b.t.peers[peer] = a
	for _, s := range segments {
		b.join(peer, a, s)
	}
}

// Groups says that group numbers mean something on this host: from now on a
// frame with one must come from a peer that may speak for it.
func (b *Builder) Groups() { b.t.grouped = true }

// Speaks says that the Group Policy extension is spoken with a peer, which was
// added already, and for which groups it may speak.
func (b *Builder) Speaks(peer uint16, groups []uint16) {
	if _, known := b.t.PeerAddr(peer); !known {
		b.refuse("peer %d: it speaks for groups and is not there", peer)
		return
	}
	b.t.grouped, b.t.speaks[peer] = true, true
	for _, g := range groups {
		b.t.may[uint32(peer)<<16|uint32(g)] = true
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
