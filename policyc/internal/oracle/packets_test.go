package oracle

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"bulkhead/dataplane/packet"
)

// packets sorts questions by what packets can ask. asked are those that policy
// answers. refused are packets that the switch drops whatever the policy says.
// The rest is no packet at all: ICMP of the other family, a port of a protocol
// that has none, an address that no host has.
func (x *trial) packets() (asked, refused []probe) {
	type half struct {
		who  int
		port uint16
	}
	type ends struct {
		proto    uint8
		one, two half
	}
	once := map[ends]bool{}
	for _, q := range x.probes {
		if !x.exists(q) {
			continue
		}
		if x.refused(q) {
			refused = append(refused, q)
			continue
		}
		one, two := half{q.from, q.flow.Src}, half{q.to, q.flow.Dst}
		if !hasSources(q.flow.Proto) {
			one.port, two.port = 0, 0
		}
		if q.to < q.from {
			one, two = two, one
		}
		e := ends{q.flow.Proto, one, two}
		if hasSources(q.flow.Proto) || !hasPorts(q.flow.Proto) {
			if once[e] {
				continue // it would be a reply, or the same again
			}
			once[e] = true
		}
		asked = append(asked, q)
	}
	return asked, refused
}

// exists tells whether there is such a packet.
func (x *trial) exists(q probe) bool {
	is4 := x.people[q.from].Addr.Is4()
	switch {
	case !host(x.people[q.from].Addr) || !host(x.people[q.to].Addr):
		return false
	case q.flow.Proto == packet.ProtoICMP:
		return is4
	case q.flow.Proto == packet.ProtoICMPv6:
		return !is4
	}
	return hasPorts(q.flow.Proto) || q.flow.Dst == 0
}

// hasPorts tells of the protocols of which one packet is told from another's
// connection by a number in it.
func hasPorts(proto uint8) bool {
	return slices.Contains([]uint8{packet.ProtoICMP, packet.ProtoTCP, packet.ProtoUDP, packet.ProtoICMPv6, packet.ProtoSCTP}, proto)
}

// hasSources tells of the protocols whose packets have the source port that is
// asked about; of the others each has a number of its own.
func hasSources(proto uint8) bool {
	return slices.Contains([]uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP}, proto)
}

// host tells whether a host may have an address (RFC 6890).
func host(a netip.Addr) bool {
	reserved := netip.MustParsePrefix("240.0.0.0/4").Contains(a) || netip.MustParsePrefix("0.0.0.0/8").Contains(a)
	return !reserved && !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && (a.Is4() || a.Compare(netip.MustParseAddr("::1:0:0:0")) > 0)
}

// hidden are what a transport hides behind in IPv6, or what is none: extension
// headers, no next header, experiments (RFC 8200 4, RFC 5201, RFC 5533). ESP and
// AH are read.
var hidden = []uint8{0, 43, 44, 59, 60, 135, 139, 140, 253, 254, 255}

// refused tells of packets that the switch drops before it asks the policy, or
// without: routers' and DHCP servers' messages, neighbour discovery, and IPv6 that does not show what it
// carries.
func (x *trial) refused(q probe) bool {
	kind := uint8(q.flow.Dst >> 8)
	switch q.flow.Proto {
	case packet.ProtoICMP:
		return kind == packet.ICMPRedirect || kind == packet.ICMPRouterAdvertisement
	case packet.ProtoUDP:
		return isServers(q.flow.Src, q.flow.Dst)
	case packet.ProtoICMPv6:
		return kind >= packet.NDRouterSolicitation && kind <= packet.NDRedirect
	}
	return x.people[q.from].Addr.Is6() && slices.Contains(hidden, q.flow.Proto)
}

// isServers tells of what a DHCP server says, from its port or to a client's.
func isServers(src, dst uint16) bool { return src == 67 || src == 547 || dst == 68 || dst == 546 }

// isError tells of ICMP errors. Each is about a packet that nobody has sent: the
// switch has one pass by a stateless rule alone.
func (x *trial) isError(q probe) bool {
	kind := uint8(q.flow.Dst >> 8)
	switch q.flow.Proto {
	case packet.ProtoICMP:
		return slices.Contains([]uint8{packet.ICMPUnreachable, packet.ICMPSourceQuench, packet.ICMPTimeExceeded, packet.ICMPParameter}, kind)
	case packet.ProtoICMPv6:
		return kind >= packet.ICMPv6Unreachable && kind <= packet.ICMPv6Parameter
	}
	return false
}

var mark = []byte("bulkhead")

// parcels are the packets that ask questions, numbered in their order.
func (x *trial) parcels(list []probe) []parcel {
	out := make([]parcel, len(list))
	for i, q := range list {
		out[i] = parcel{q, x.packet(q, uint32(i))}
	}
	return out
}

// packet is the packet that opens a connection. No two have the same ports, and
// its ICMP identifier is its number, so that none belongs to the connection of
// another; and its number is in it, behind a mark.
func (x *trial) packet(q probe, number uint32) packet.Spec {
	s := packet.Spec{
		Src: packet.AddrFrom(x.people[q.from].Addr), Dst: packet.AddrFrom(x.people[q.to].Addr), Proto: q.flow.Proto,
		SrcPort: q.flow.Src, DstPort: q.flow.Dst, ICMPID: uint16(number % sessionsMost), Seq: 1,
		ICMPType: uint8(q.flow.Dst >> 8), ICMPCode: uint8(q.flow.Dst),
	}
	switch {
	case s.Proto == packet.ProtoSCTP: // an INIT chunk (RFC 9260 3.3.2), with the mark as its parameters
		s.Payload = []byte{1, 0, 0, 32, 0, 0, 0, 1, 0, 0, 255, 255, 0, 1, 0, 1, 0, 0, 0, 1}
	case s.Proto == 51: // an authentication header of 16 bytes around it (RFC 4302 2)
		s.Payload = []byte{59, 2, 7: 1, 11: 1, 15: 0}
	case x.isError(q):
		s.Payload = quote(s.Dst, s.Src)
	}
	s.Payload = binary.BigEndian.AppendUint32(append(s.Payload, mark...), number)
	return s
}

// quote is the beginning of a packet that nobody has sent: of UDP, from and to
// ports that no question uses.
func quote(from, to packet.Addr) []byte {
	bytes, err := packet.Build(packet.Spec{SrcMAC: packet.MAC{2}, DstMAC: packet.MAC{2}, Src: from, Dst: to, Proto: packet.ProtoUDP, SrcPort: 7, DstPort: 9})
	if err != nil {
		panic(err) // the addresses are of one family
	}
	return bytes[ethernet:]
}

// answer is the answer to a packet, and what it asks by itself.
func (x *trial) answer(q probe, s packet.Spec) parcel {
	s.Src, s.Dst, s.SrcPort, s.DstPort = s.Dst, s.Src, s.DstPort, s.SrcPort
	back := probe{from: q.to, to: q.from}
	back.flow.Proto = s.Proto
	switch s.Proto {
	case packet.ProtoTCP:
		s.TCPFlags, s.Ack = packet.TCPSyn|packet.TCPAckFlag, s.Seq+1
		back.flow.Src, back.flow.Dst = s.SrcPort, s.DstPort
	case packet.ProtoUDP, packet.ProtoSCTP:
		back.flow.Src, back.flow.Dst = s.SrcPort, s.DstPort
	case packet.ProtoICMP, packet.ProtoICMPv6:
		s.ICMPType = map[uint8]uint8{packet.ICMPEchoRequest: packet.ICMPEchoReply, packet.ICMPTimestamp: packet.ICMPTimestampReply, packet.ICMPv6EchoRequest: packet.ICMPv6EchoReply}[s.ICMPType]
		back.flow.Dst = uint16(s.ICMPType)<<8 | uint16(s.ICMPCode)
	}
	return parcel{back, s}
}
