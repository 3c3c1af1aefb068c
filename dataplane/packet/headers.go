package packet

import "encoding/binary"

// MAC is an Ethernet address.
type MAC [6]byte

// Addr is an IPv4 or IPv6 address in one form, so that there is one path for
// both: IPv4 is ::ffff:a.b.c.d. No IPv6 packet may carry such an address on
// the wire (RFC 4291 2.5.5.2; Parse drops it as martian), so the two families
// never meet.
type Addr [16]byte

// Key names a flow in one direction: what a session is looked up by and what
// the policy judges, once addresses have become identities. Zone tells apart
// networks whose addresses overlap.
//
// Ports are the transport's; for ICMP echo both ports hold the identifier;
// for other ICMP and for protocols without ports both are zero.
type Key struct {
	Src, Dst         Addr
	SrcPort, DstPort uint16
	Zone             uint16
	Proto            uint8
	Query            Query // of ICMP and ICMPv6; else QueryNone
}

// Reverse returns the key of the opposite direction.
func (k Key) Reverse() Key {
	k.Src, k.Dst = k.Dst, k.Src
	k.SrcPort, k.DstPort = k.DstPort, k.SrcPort
	return k
}

// Protocol numbers (IANA) that the switch knows by name.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
	ProtoSCTP   = 132
)

// EtherTypes that the switch knows.
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeARP  = 0x0806
	EtherTypeVLAN = 0x8100
	EtherTypeQinQ = 0x88a8
	EtherTypeIPv6 = 0x86dd
)

// Kind is what a frame is, as far as the walk must tell.
type Kind uint8

const (
	// KindIP is IPv4 or IPv6 with a transport that can be judged.
	KindIP Kind = iota
	// KindARP is an ARP request or reply.
	KindARP
	// KindND is ICMPv6 neighbour discovery (types 133-137).
	KindND
	// KindFragment is a part of an IPv4 or IPv6 packet: of UDP, of an ICMP
	// query, or of a protocol without ports. The first part has the transport
	// header; the others have none, and their Key has no ports.
	KindFragment
)

// Headers is what Parse found in a frame. All offsets count from Frame.Start
// and lie inside the frame. It is flat and reused; the comment on a field
// says when it is valid.
type Headers struct {
	Kind      Kind
	VLANs     uint8 // number of tags, 0-2
	V6        bool  // KindIP, KindND, KindFragment: IPv6
	ICMPError bool  // KindIP: an ICMP error; Inner is then valid
	TCPFlags  uint8 // KindIP with TCP: the flags byte
	ICMPType  uint8 // KindIP with ICMP or ICMPv6, and KindND
	ICMPCode  uint8

	Dst, Src MAC

	EtherType uint16    // the innermost
	VLAN      [2]uint16 // TCI of each tag, outermost first

	L3 uint16 // offset of the ARP, IPv4 or IPv6 header
	// L4 is the offset of the transport header, or of what a later part of a
	// packet has instead. KindIP, KindND, KindFragment.
	L4 uint16
	// Payload is the offset behind the transport header. As L4.
	Payload uint16
	// PacketEnd is the offset of the end of the IP or ARP packet: what follows
	// is padding, and never read.
	PacketEnd uint32

	// TTL is the TTL or hop limit. KindIP, KindND, KindFragment.
	TTL uint8

	// Key is the flow; Zone is zero until the identify stage. KindIP. For
	// KindND only Src, Dst and Proto are set.
	Key Key

	// Inner is the flow that an ICMP error quotes, as quoted: the direction
	// of the packet that caused it. Valid if ICMPError.
	Inner Key
	// InnerL4 is the offset of the quoted transport header. Valid if ICMPError.
	InnerL4 uint16

	// TCPSeq, TCPAck, TCPWindow are TCP's fields. KindIP with TCP.
	TCPSeq, TCPAck uint32
	TCPWindow      uint16

	// Fragment says which part of which packet it is. KindFragment.
	Fragment Fragment
}

// TCP flags, as in Headers.TCPFlags (RFC 9293 3.1).
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
	TCPPsh
	TCPAckFlag
	TCPUrg
	TCPEce
	TCPCwr
)

// IsMulticast tells whether the address is a group's, broadcast included.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// Uint64 returns the address as a number below 1<<48, for tables.
func (m MAC) Uint64() uint64 {
	return uint64(binary.BigEndian.Uint16(m[0:2]))<<32 | uint64(binary.BigEndian.Uint32(m[2:6]))
}

// Is4 tells whether the address is an IPv4 one.
func (a *Addr) Is4() bool {
	return binary.LittleEndian.Uint64(a[0:8]) == 0 && binary.LittleEndian.Uint32(a[8:12]) == 0xffff_0000
}

// AddrFrom4 returns the Addr of an IPv4 address, given as its 4 bytes.
func AddrFrom4(b [4]byte) Addr {
	return Addr{10: 0xff, 11: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}
}

// Set4 is AddrFrom4 in place, by two stores of a word: read back as words, as
// the hash does at once, an address put together from bytes would have to wait
// until they have left the store buffer (6 ns of BenchmarkParse).
func (a *Addr) Set4(b *[4]byte) {
	binary.LittleEndian.PutUint64(a[0:], 0)
	binary.LittleEndian.PutUint64(a[8:], 0xffff_0000|uint64(binary.LittleEndian.Uint32(b[:]))<<32)
}
