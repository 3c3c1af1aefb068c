package peers

import (
	"fmt"
	"net/netip"

	"bulkhead/bench/rig"
	"bulkhead/bench/traffic"
)

// nftables is the kernel's stateful firewall: connections are tracked, as the
// switch does. Where the kernel tracks connections on a bridge
// (CONFIG_NF_CONNTRACK_BRIDGE) the rules are on the bridge, so the frame's way
// is the same as through the switch; elsewhere the middle routes, and the rules
// are in the inet family.
var nftables = Peer{
	Name:  "nftables",
	Tools: []Tool{toolIP, toolNFT},
	Up: func(r *rig.Rig) (Link, error) {
		tracks, err := tracksOnBridge(r)
		if err != nil {
			return Link{}, err
		}
		if tracks {
			return upFilteredBridge(r)
		}
		return upRouter(r)
	},
}

// tracksOnBridge has the kernel load a rule that asks a bridge for the state of
// a connection, and takes it away again.
func tracksOnBridge(r *rig.Rig) (bool, error) {
	const rule = "table bridge probe { chain c { type filter hook forward priority 0; ct state established accept; }; }\n"
	file, err := r.Write("probe.nft", []byte(rule))
	if err != nil {
		return false, err
	}
	if err := r.Run(rig.Within(r.Middle, "nft -f "+file)); err != nil {
		return false, nil // to refuse is an answer
	}
	return true, r.Run(rig.Within(r.Middle, "nft delete table bridge probe"))
}

func upFilteredBridge(r *rig.Rig) (Link, error) {
	l := Link{To: addressB.Addr(), Note: "stateful nftables on a bridge (bridge table)"}
	if err := upBridge(r); err != nil {
		return l, err
	}
	return l, rules(r, "bridge", addressA.Addr(), addressB.Addr(), "ether type arp accept")
}

// Each end has a subnet of its own where the middle routes.
var (
	routedA  = netip.MustParsePrefix("10.99.1.2/24")
	routedB  = netip.MustParsePrefix("10.99.2.2/24")
	gatewayA = netip.MustParsePrefix("10.99.1.1/24")
	gatewayB = netip.MustParsePrefix("10.99.2.1/24")
)

func upRouter(r *rig.Rig) (Link, error) {
	l := Link{To: routedB.Addr(), Note: "stateful nftables, routed (inet table): this kernel tracks no connections on a bridge"}
	if err := veths(r, "pa", "pb"); err != nil {
		return l, err
	}
	for _, end := range []struct {
		space, port string
		own, via    netip.Prefix
	}{{r.A, "pa", routedA, gatewayA}, {r.B, "pb", routedB, gatewayB}} {
		if err := r.Run(
			fmt.Sprintf("ip -n %s addr add %s dev %s", r.Middle, end.via, end.port),
			fmt.Sprintf("ip -n %s link set %s up", r.Middle, end.port),
			fmt.Sprintf("ip -n %s addr add %s dev eth0", end.space, end.own),
			fmt.Sprintf("ip -n %s link set eth0 up", end.space),
			fmt.Sprintf("ip -n %s route add default via %s", end.space, end.via.Addr()),
		); err != nil {
			return l, err
		}
	}
	if err := r.Run(rig.Within(r.Middle, "sysctl -qw net.ipv4.ip_forward=1")); err != nil {
		return l, err
	}
	return l, rules(r, "inet", routedA.Addr(), routedB.Addr(), "")
}

// rules loads the policy: what is open goes on, what is allowed opens.
func rules(r *rig.Rig, family string, from, to netip.Addr, also string) error {
	ports := fmt.Sprintf("%d-%d", traffic.FirstPort, traffic.LastPort)
	text := fmt.Sprintf(`table %s bench {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		%s
		ct state new ip saddr %[3]s ip daddr %[4]s tcp dport %[5]s accept
		ct state new ip saddr %[3]s ip daddr %[4]s udp dport %[5]s accept
	}
}
`, family, also, from, to, ports)
	file, err := r.Write("rules.nft", []byte(text))
	if err != nil {
		return err
	}
	return r.Run(rig.Within(r.Middle, "nft -f "+file))
}
