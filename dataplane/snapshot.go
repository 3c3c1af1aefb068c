package dataplane

import (
	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/nat"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/dataplane/route"
	"bulkhead/dataplane/vxlan"
)

// Snapshot is everything a verdict depends on, but for the state that packets
// make. It is built whole, off the path, and never changed once it is
// published; any number of workers read it.
type Snapshot struct {
	// Generation counts the changes by which the policy's answer to a session
	// may have become another: of rules, and of what an address means. A session
	// of another generation is judged again at its next packet. Where endpoints
	// are may differ between snapshots of one generation: a session must not
	// keep anything of that.
	Generation uint32
	// Ports is indexed by packet.PortID. A slot whose Role is RoleNone is no
	// port: frames from it or to it are dropped.
	Ports []Port
	// Segments is indexed by segment number.
	Segments []Segment
	// Identity knows endpoints and addresses.
	Identity *identity.Table
	// Policy is the compiled policy linked to the identities; nil when no
	// policy is loaded, and then nothing is allowed.
	Policy *classify.Engine
	// Rules is the source of Policy, for traces; nil if Policy is.
	Rules *policy.Ruleset
	// Routes has the routes of every VRF.
	Routes *route.Table
	// NAT has the address translations of every VRF; nil: there are none.
	NAT *nat.Rules
	// Tunnels has the VTEPs, the VNIs and their peers; nil without an overlay.
	Tunnels *vxlan.Table
	// Underlay is the way from our VTEP to its peers.
	Underlay Underlay
	// Arrivals are endpoints that have come with open connections; nil: none.
	Arrivals *Arrivals
	// Probed are the ports that are watched for loops.
	Probed []packet.PortID
	// Shadow is a policy to compare with; nil: none stands.
	Shadow *Shadow
	// Snooped are the segments with Snooping.
	Snooped []uint16
	// Mirrors show what passes to analysers, at most MaxMirrors; Collectors are the
	// addresses that ERSPAN goes to.
	Mirrors    []Mirror
	Collectors []packet.Addr
	// Names are what traces call ports, segments and peers.
	Names Names
}

// Role is what a port is for.
type Role uint8

const (
	// RoleNone marks a slot without a port.
	RoleNone Role = iota
	// RoleWorkload is a port of endpoints: isolated by default.
	RoleWorkload
	// RoleUplink is a port to the underlay: VXLAN and nothing else.
	RoleUplink
	// RoleMirror is a port that mirrors show frames by, and nothing else: what comes
	// in is dropped. It has an L2, by which the walk sees it.
	RoleMirror
)

// Port is what the walk must know of a port.
type Port struct {
	Role    Role
	Segment uint16     // RoleWorkload: the segment it is in; NoSegment if L2.VLANs says which
	MTU     uint32     // bytes of IP the way out takes
	NoRoute bool       // RoleWorkload: it is not told of a router
	MAC     packet.MAC // RoleUplink: the source of outer frames
	// L2 is what the port has beside: tags, limits. Nil for most ports, and then
	// nothing of it costs the walk more than to see that.
	L2 *L2
}

// Segment is an L2 domain.
type Segment struct {
	Zone       uint16     // its VRF; part of every session key
	VNI        uint32     // 0: not in the overlay
	MTU        uint32     // bytes of IP
	GatewayMAC packet.MAC // the same on every host; zero: no gateway
	Gateways   []Gateway  // the gateway's addresses, at most MaxGateways
	// DNS and Lease are what workloads that ask are told besides: name servers, at
	// most packet.MaxDNS, and for how many seconds an address holds; 0: an hour.
	DNS   []packet.Addr
	Lease uint32
	// FloodUnknown lets frames to an unknown unicast MAC go to every port,
	// FloodBroadcast broadcast and multicast. Both are off unless asked for.
	FloodUnknown, FloodBroadcast bool
	// Learning lets MACs that no endpoint is bound to be learned, from peers.
	Learning bool
	// Snooping gives multicast to those who asked for it only (group.go).
	Snooping bool
	// Ports are the segment's own ports, for flooding.
	Ports []packet.PortID
}

// MaxGateways bounds the gateway addresses of a segment.
const MaxGateways = 8

// Gateway is one address of a segment's gateway.
type Gateway struct {
	Addr packet.Addr
	Bits uint8 // prefix length, of 32 or 128
}

// Underlay says how outer packets leave this host.
type Underlay struct {
	Port packet.PortID // the uplink; NoPort: there is none
	// Routed: the host finds the next hop of what goes out by the uplink.
	Routed bool
	// Segment is the number under which the underlay's neighbours are kept.
	Segment uint16
	// Addrs are our VTEP's addresses, at most one of each family.
	Addrs [2]packet.Addr // IPv4, IPv6; zero if absent
	// Bits are the lengths of the on-link prefixes around them.
	Bits [2]uint8
	// Gateways lead to peers that are not on-link; zero if absent.
	Gateways [2]packet.Addr
}

// NoSegment is the number of no segment.
const NoSegment = 0xffff

// UnderlaySegment is the number under which neighbours of the underlay are
// kept: no real segment's.
const UnderlaySegment = 0xfffe

// port returns the port's entry, or nil if the snapshot has none.
func (s *Snapshot) port(id packet.PortID) *Port {
	if int(id) >= len(s.Ports) || s.Ports[id].Role == RoleNone {
		return nil
	}
	return &s.Ports[id]
}

// isGateway tells whether addr is one of the segment's gateway's own.
func (g *Segment) isGateway(addr *packet.Addr) bool {
	for i := range g.Gateways {
		if g.Gateways[i].Addr == *addr {
			return true
		}
	}
	return false
}

// gatewayFor returns the gateway's first address of the family of addr, to
// speak from.
func (g *Segment) gatewayFor(addr *packet.Addr) (from packet.Addr, found bool) {
	is4 := addr.Is4()
	for i := range g.Gateways {
		if g.Gateways[i].Addr.Is4() == is4 {
			return g.Gateways[i].Addr, true
		}
	}
	return packet.Addr{}, false
}
