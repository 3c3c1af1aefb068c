// Package config is the daemon's configuration: one TOML file, every mistake
// in it reported at once, with its line and how to mend it.
//
// Load reads, fills in defaults, checks. What it returns holds: names are
// unique, references lead somewhere, addresses are of the right kind. Nothing
// here touches the host; `vswitchd check` needs no privilege.
//
// The package is pure; any goroutine may call it.
package config

import (
	"crypto/ed25519"
	"net/netip"

	"bulkhead/dataplane/packet"
)

// Config is a checked configuration.
type Config struct {
	Policy       string // compiled artifact; empty: everything is denied
	PolicyKeys   []PolicyKey
	PolicyLeast  uint64 // generation that a policy must have, or a later one
	PolicyState  string // file that keeps the generation of the policy over restarts
	Workers      int
	Control      string // path of the control socket
	ControlGroup string // group that may use it besides root
	Metrics      string // address of the metrics endpoint; empty: off
	Limits       Limits
	Segments     []Segment
	Ports        []Port
	Endpoints    []Endpoint
	Routes       []Route
	SNAT         []SNAT
	DNAT         []DNAT
	VTEP         *VTEP // nil without an overlay
	Groups       []Group
	Peers        []Peer
	Mirrors      []Mirror
}

// PolicyKey is a public key that a policy must be signed with, or one of
// several. It stands in the configuration, or in a file of its own.
type PolicyKey struct {
	File string            // empty: Key has it
	Key  ed25519.PublicKey // nil: File has it
}

// Limits bounds what packets can make the switch hold.
type Limits struct {
	Sessions         int // in all
	SessionsPerPort  int
	EmbryonicPerPort int // of these, not answered yet
	Frames           int // chunks of frame memory that ports share, 4 KiB each
	NATMappings      int // address translations, in all
	NATPerPort       int // of these, of who came in by one port
}

// Segment is an L2 domain.
type Segment struct {
	Name       string
	VNI        uint32 // 0: not in the overlay
	VRF        string
	Gateways   []netip.Prefix // the gateway's address and the segment's prefix
	GatewayMAC packet.MAC
	Unknown    string       // "drop" or "flood": unicast to an unknown MAC
	Broadcast  string       // "drop" or "flood": broadcast and multicast
	Learning   bool         // learn MACs that peers speak for
	Snooping   bool         // multicast goes to who asked for it
	MTU        int          // bytes of IP; in the overlay a tunnel's headers less than the uplink's
	DNS        []netip.Addr // name servers that workloads are told of
	Lease      int          // seconds that an address given by DHCP holds
}

// FloodUnknown tells whether unicast to an unknown MAC is flooded.
func (s *Segment) FloodUnknown() bool { return s.Unknown == flood }

// FloodBroadcast tells whether broadcast and multicast are flooded.
func (s *Segment) FloodBroadcast() bool { return s.Broadcast == flood }

const (
	dropped = "drop"
	flood   = "flood"
)

// Roles of a port.
const (
	RoleWorkload = "workload"
	RoleUplink   = "uplink"
	RoleMirror   = "mirror"
)

// Port is a switch port and, if it has a MAC and IPs, the endpoint on it.
type Port struct {
	Name     string
	Driver   string // tap, auto, xdp, packet, udp, erspan, pcap
	Role     string
	Segment  string // workloads; on a trunk that of untagged frames, or none
	Netns    string // where the workload's end lives: a name, a path, or pid:N
	Device   string // tap: its name there; xdp: the device to attach to
	File     string // pcap: the capture to replay
	MAC      packet.MAC
	IPs      []netip.Addr
	Labels   map[string]string // of a host policy.HostLabel, too
	Prefixes []netip.Prefix    // sources allowed behind it: it is a router
	Queues   int
	MTU      int
	Mode     string // xdp: auto, native, generic
	NoRoute  bool   // tap: no default route by way of the gateway
	L2       PortL2
	// Collector is of an erspan port.
	Collector Collector
}

// Endpoint is a workload other than the one that a port stands for.
type Endpoint struct {
	Name    string
	Segment string
	Port    string // a port of this host, or
	Peer    string // the peer it is behind
	MAC     packet.MAC
	IPs     []netip.Addr
	Labels  map[string]string // of a host policy.HostLabel, too
	Host    bool              // it is a host, and not on one
	// Prefixes are sources allowed behind it, as Port.Prefixes.
	Prefixes []netip.Prefix
}

// Route is a static route of a VRF.
type Route struct {
	VRF       string
	Prefix    netip.Prefix
	Via       netip.Addr
	Blackhole bool
}

// SNAT is whose packets to the outside leave from which addresses.
type SNAT struct {
	VRF         string
	From        netip.Prefix
	To          []netip.Prefix // none: all of the outside
	Except      []netip.Prefix
	Pool        []netip.Addr
	Least, Most uint16 // the ports to leave from
}

// DNAT publishes an endpoint's port at an outside address.
type DNAT struct {
	VRF      string
	Protocol string // "tcp" or "udp"
	Outside  netip.AddrPort
	Inside   netip.AddrPort
}

// VTEP is this host's end of every tunnel.
type VTEP struct {
	Addresses []netip.Prefix // at most one of each family, with the on-link prefix
	Gateways  []netip.Addr   // to peers that are not on-link
	Uplink    string
	UDPPort   uint16
	// ZeroSum6: no outer UDP checksum over IPv6, which peers must have been told
	// to take.
	ZeroSum6 bool
}

// Peer is another host.
type Peer struct {
	Name     string
	Address  netip.Addr
	Segments []string
	Groups   []string // for which it may speak
}

// Group is a number that stands for services in a tunnel, the same on every
// host.
type Group struct {
	Name   string
	Number uint16
	Labels map[string]string // of who is of the group
}

// Segment returns the segment of that name, or nil.
func (c *Config) Segment(name string) *Segment {
	for i := range c.Segments {
		if c.Segments[i].Name == name {
			return &c.Segments[i]
		}
	}
	return nil
}

// Port returns the port of that name, or nil.
func (c *Config) Port(name string) *Port {
	for i := range c.Ports {
		if c.Ports[i].Name == name {
			return &c.Ports[i]
		}
	}
	return nil
}

// Peer returns the peer of that name, or nil.
func (c *Config) Peer(name string) *Peer {
	for i := range c.Peers {
		if c.Peers[i].Name == name {
			return &c.Peers[i]
		}
	}
	return nil
}
