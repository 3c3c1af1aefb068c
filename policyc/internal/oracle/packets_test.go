package oracle

import (
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
// without: errors about no open connection, redirects, neighbour discovery, and
// IPv6 that does not show what it carries.
func (x *trial) refused(q probe) bool {
	kind := uint8(q.flow.Dst >> 8)
	switch {
	case q.flow.Proto == packet.ProtoICMP:
		return slices.Contains([]uint8{3, 4, 5, 11, 12}, kind)
	case q.flow.Proto == packet.ProtoICMPv6:
		return kind >= 1 && kind <= 4 || kind >= 133 && kind <= 137
	}
	return x.people[q.from].Addr.Is6() && slices.Contains(hidden, q.flow.Proto)
}
