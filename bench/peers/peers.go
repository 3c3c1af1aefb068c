// Package peers is who can connect two namespaces: the switch, with each kind
// of port, and what else a machine has for it. A peer is one file, and a row
// in All.
//
// A peer is set up as its own documentation says, at its best, with offloads as
// the kernel sets them, but for those that cannot do with them. Every one that filters lets through the same: TCP and
// UDP from A to B on the ports of package traffic, and the answers.
package peers

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/bench/rig"
)

// Peer is a way to connect namespaces A and B of a rig.
type Peer struct {
	Name  string
	Tools []Tool
	// Up connects them; what it has made Close of the rig removes.
	Up func(*rig.Rig) (Link, error)
	// OffloadsOff tells that the workloads' offloads are turned off for it.
	OffloadsOff bool
}

// Tool is a program that a peer needs, and the Debian package it is in.
type Tool struct{ Command, Package string }

var (
	toolIP  = Tool{"ip", "iproute2"}
	toolNFT = Tool{"nft", "nftables"}
	// ethtool is for peers that need offloads off.
	toolEthtool  = Tool{"ethtool", "ethtool"}
	toolsOVS     = []Tool{toolIP, {"ovs-vswitchd", "openvswitch-switch"}, {"ovsdb-server", "openvswitch-switch"}, {"ovs-vsctl", "openvswitch-switch"}}
	toolsOVSVeth = append(slices.Clip(toolsOVS), toolEthtool)
)

// Link is what Up has made.
type Link struct {
	To   netip.Addr // B's address, from A
	Note string     // what the peer does with a frame, for the report
}

// All lists the peers by name.
func All() []Peer {
	return []Peer{bulkheadTAP, bulkheadXDP, bulkheadPacket, bulkheadReloading, bulkheadRules, bulkheadWorkers,
		tenTAP, tenXDP, tenPacket, bulkheadFull, bulkheadMillion,
		bridge, nftables, ovsTAP, ovsPacket, ovsXDP, testpmd,
		bulkheadUDP, bulkheadUplinkXDP, ovsVXLAN, vxlanBridge, vxlanNFTables}
}

// Find returns the peers of these names, in this order.
func Find(names ...string) ([]Peer, error) {
	var out []Peer
	for _, name := range names {
		p, found := find(name)
		if !found {
			return nil, fmt.Errorf("no peer is called %q; one of %s", name, strings.Join(Names(), ", "))
		}
		out = append(out, p)
	}
	return out, nil
}

// Names lists the names of all peers.
func Names() (out []string) {
	for _, p := range All() {
		out = append(out, p.Name)
	}
	return out
}

func find(name string) (Peer, bool) {
	for _, p := range All() {
		if p.Name == name {
			return p, true
		}
	}
	return Peer{}, false
}

// Both ends are in one subnet, but for peers that route.
var (
	addressA = netip.MustParsePrefix("10.99.0.1/24")
	addressB = netip.MustParsePrefix("10.99.0.2/24")
)

// addresses gives both ends, eth0 in A and in B, their addresses and sets them
// up.
func addresses(r *rig.Rig) error {
	return r.Run(
		"ip -n "+r.A+" addr add "+addressA.String()+" dev eth0",
		"ip -n "+r.B+" addr add "+addressB.String()+" dev eth0",
		"ip -n "+r.A+" link set eth0 up",
		"ip -n "+r.B+" link set eth0 up",
	)
}

// veths makes a veth from each end, eth0 in A and in B, to the middle, where
// they have the names given.
func veths(r *rig.Rig, a, b string) error {
	return r.Run(
		"ip link add eth0 netns "+r.A+" type veth peer name "+a+" netns "+r.Middle,
		"ip link add eth0 netns "+r.B+" type veth peer name "+b+" netns "+r.Middle,
	)
}
