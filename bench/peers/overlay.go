package peers

import (
	"errors"
	"fmt"
	"strings"

	"bulkhead/bench/rig"
)

// Peers that connect A and B by VXLAN. A is behind the peer, in the middle; B is
// a host of its own, a kernel's VXLAN device, the same for all of them. Between
// them is a veth, which passes superframes where both ends can.
//
//	A ── the peer ══ u0 ── u1 ══ vxlan device (eth0 of B)
const (
	vtepMiddle, vtepB = "192.0.2.1", "192.0.2.2"
	overlayVNI        = 100
	overlayMTU        = 1450
)

// overlayPeer is a row: who wraps A's frames up.
func overlayPeer(name, note string, tools []Tool, up func(*rig.Rig) error) Peer {
	return Peer{Name: name, Tools: tools, Up: func(r *rig.Rig) (Link, error) {
		if err := underlay(r); err != nil {
			return Link{}, err
		}
		return Link{To: addressB.Addr(), Note: note + "; B is a kernel's VXLAN device over a veth"}, up(r)
	}}
}

var (
	bulkheadUDP = overlayPeer("bulkhead-vxlan-udp", "vswitchd, a TAP port, an uplink by UDP sockets, stateful policy on", []Tool{toolIP},
		func(r *rig.Rig) error { return errors.Join(middleAddress(r), upOverlay(r, `driver = "udp"`)) })
	bulkheadUplinkXDP = overlayPeer("bulkhead-vxlan-xdp", "vswitchd, a TAP port, an AF_XDP uplink, stateful policy on", []Tool{toolIP},
		func(r *rig.Rig) error { return upOverlay(r, "driver = \"xdp\"\ndevice = \"u0\"") })
	vxlanBridge = overlayPeer("vxlan-bridge", "kernel VXLAN on a bridge, no policy", []Tool{toolIP}, upVXLANBridge)
	ovsVXLAN    = Peer{Name: "ovs-vxlan", Tools: toolsOVSVeth, OffloadsOff: true, Up: func(r *rig.Rig) (Link, error) {
		l := Link{To: addressB.Addr(), Note: "Open vSwitch in user space, an internal port, VXLAN over AF_PACKET, OpenFlow with conntrack; " + offloadsOff + "; B is a kernel's VXLAN device over a veth"}
		if err := underlay(r); err != nil {
			return l, err
		}
		return l, upOVSVXLAN(r)
	}}
	vxlanNFTables = Peer{Name: "vxlan-nftables", Tools: []Tool{toolIP, toolNFT}, Up: func(r *rig.Rig) (Link, error) {
		l := Link{To: routedB.Addr(), Note: "kernel VXLAN, stateful nftables, routed (inet table); B is a kernel's VXLAN device over a veth"}
		if err := underlay(r); err != nil {
			return l, err
		}
		return l, upVXLANRouter(r)
	}}
)

// underlay joins the middle and B, and makes B's VXLAN device, without addresses
// in the overlay.
func underlay(r *rig.Rig) error {
	return r.Run(
		"ip link add u0 netns "+r.Middle+" type veth peer name u1 netns "+r.B,
		"ip -n "+r.B+" addr add "+vtepB+"/24 dev u1",
		"ip -n "+r.B+" link set u1 up",
		fmt.Sprintf("ip -n %s link add eth0 address %s mtu %d type vxlan id %d dstport 4789 local %s remote %s dev u1", r.B, macB, overlayMTU, overlayVNI, vtepB, vtepMiddle),
	)
}

// addressesOverlay gives both ends their addresses and sets them up.
func addressesOverlay(r *rig.Rig) error {
	if err := r.Run(fmt.Sprintf("ip -n %s link set eth0 mtu %d", r.A, overlayMTU)); err != nil {
		return err
	}
	return addresses(r)
}

// middleAddress gives the middle its end of the underlay.
func middleAddress(r *rig.Rig) error {
	return r.Run("ip -n "+r.Middle+" addr add "+vtepMiddle+"/24 dev u0", "ip -n "+r.Middle+" link set u0 up")
}

// upOverlay starts the switch with an uplink, and sets B up.
func upOverlay(r *rig.Rig, uplink string) error {
	a := taps(r)[0]
	config := configuration("", []workload{a})
	config = strings.Replace(config, "name = \"bench\"\n", fmt.Sprintf("name = \"bench\"\nvni = %d\n", overlayVNI), 1)
	config += fmt.Sprintf(`[[ports]]
name = "up"
role = "uplink"
%s
[[endpoints]]
name = "b"
segment = "bench"
peer = "far"
mac = %q
ips = [%q]
labels = { bench = "b" }
[[peers]]
name = "far"
address = %q
segments = ["bench"]
[vtep]
addresses = ["%s/24"]
uplink = "up"
`, uplink, macB, addressB.Addr(), vtepB, vtepMiddle)
	if err := startSwitch(r, ruleset(), config); err != nil {
		return err
	}
	return r.Run("ip -n "+r.B+" addr add "+addressB.String()+" dev eth0", "ip -n "+r.B+" link set eth0 up")
}

// vxlanDevice makes the middle's VXLAN device.
func vxlanDevice(r *rig.Rig) error {
	if err := middleAddress(r); err != nil {
		return err
	}
	return r.Run(
		fmt.Sprintf("ip -n %s link add vx mtu %d type vxlan id %d dstport 4789 local %s remote %s dev u0", r.Middle, overlayMTU, overlayVNI, vtepMiddle, vtepB),
		"ip -n "+r.Middle+" link set vx up",
		"ip link add eth0 netns "+r.A+" type veth peer name pa netns "+r.Middle,
	)
}

func upVXLANBridge(r *rig.Rig) error {
	if err := vxlanDevice(r); err != nil {
		return err
	}
	m := "ip -n " + r.Middle
	if err := r.Run(
		m+" link add br0 type bridge",
		m+" link set br0 up",
		m+" link set pa master br0 up",
		m+" link set vx master br0",
	); err != nil {
		return err
	}
	return addressesOverlay(r)
}

// upVXLANRouter has the middle route between A and the tunnel, as it does where a
// kernel tracks no connections on a bridge.
func upVXLANRouter(r *rig.Rig) error {
	if err := vxlanDevice(r); err != nil {
		return err
	}
	m := "ip -n " + r.Middle
	if err := r.Run(
		fmt.Sprintf("%s addr add %s dev pa", m, gatewayA), m+" link set pa up",
		fmt.Sprintf("%s addr add %s dev vx", m, gatewayB),
		fmt.Sprintf("ip -n %s link set eth0 mtu %d", r.A, overlayMTU),
		fmt.Sprintf("ip -n %s addr add %s dev eth0", r.A, routedA), "ip -n "+r.A+" link set eth0 up",
		fmt.Sprintf("ip -n %s route add default via %s", r.A, gatewayA.Addr()),
		fmt.Sprintf("ip -n %s addr add %s dev eth0", r.B, routedB), "ip -n "+r.B+" link set eth0 up",
		fmt.Sprintf("ip -n %s route add default via %s", r.B, gatewayB.Addr()),
		rig.Within(r.Middle, "sysctl -qw net.ipv4.ip_forward=1"),
	); err != nil {
		return err
	}
	return rules(r, "inet", routedA.Addr(), routedB.Addr(), "")
}

// upOVSVXLAN has Open vSwitch carry the tunnel, too: its own bridge on the
// underlay has the address, as its manual on tunnels in user space says.
func upOVSVXLAN(r *rig.Rig) error {
	o, err := upOVS(r)
	if err != nil {
		return err
	}
	if err := o.vsctl("add-br", "phy", "--", "set", "bridge", "phy", "datapath_type=netdev", "--", "add-port", "phy", "u0",
		"--", "add-port", "br0", "pa", "--", "set", "interface", "pa", "type=internal",
		"--", "add-port", "br0", "pb", "--", "set", "interface", "pb", "type=vxlan", "options:remote_ip="+vtepB, "options:local_ip="+vtepMiddle,
		fmt.Sprintf("options:key=%d", overlayVNI)); err != nil {
		return err
	}
	if err := o.healthy(); err != nil {
		return err
	}
	if err := r.Run(
		"ip -n "+r.Middle+" addr add "+vtepMiddle+"/24 dev phy", "ip -n "+r.Middle+" link set phy up", "ip -n "+r.Middle+" link set u0 up",
		"ip -n "+r.Middle+" link set pa netns "+r.A+" name eth0",
		rig.Within(r.A, "ethtool -K eth0 tx off"), rig.Within(r.B, "ethtool -K eth0 tx off"), rig.Within(r.B, "ethtool -K u1 tx off"),
	); err != nil {
		return err
	}
	return errors.Join(o.policy(), addressesOverlay(r))
}
