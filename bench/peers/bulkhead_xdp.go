package peers

import (
	"fmt"

	"bulkhead/bench/rig"
)

// bulkheadXDP is the switch with AF_XDP ports on the host ends of two veths, in
// native mode. Nobody touches the veths' offloads: the switch finishes partial
// checksums itself. (The kernel takes TSO off the far end of a veth when a
// program is attached to the near end.)
var bulkheadXDP = Peer{
	Name:  "bulkhead-xdp",
	Tools: []Tool{toolIP},
	Up: func(r *rig.Rig) (Link, error) {
		return Link{To: addressB.Addr(), Note: "vswitchd, AF_XDP ports on veths in native mode, stateful policy on"}, upXDP(r)
	},
}

func upXDP(r *rig.Rig) error { return upVeths(r, nativeXDP) }

// How a port of each driver is configured.
const (
	nativeXDP    = "driver = \"xdp\"\nmode = \"native\""
	packetDriver = "driver = \"packet\""
)

// bulkheadPacket is the switch with packet sockets on the host ends of two veths,
// which stay as they are.
var bulkheadPacket = Peer{
	Name:  "bulkhead-packet",
	Tools: []Tool{toolIP},
	Up: func(r *rig.Rig) (Link, error) {
		return Link{To: addressB.Addr(), Note: "vswitchd, packet ports on veths, stateful policy on"}, upVeths(r, packetDriver)
	},
}

// upVeths makes two veths and a switch with ports of a driver on their near ends.
func upVeths(r *rig.Rig, driver string) error {
	ports, err := vethPorts(r, driver)
	if err != nil {
		return err
	}
	return upSwitch(r, ports...)
}

// vethPorts makes two veths, and says how their near ends become ports.
func vethPorts(r *rig.Rig, driver string) ([]workload, error) {
	// The switch pins its links by the device's name, for the whole host: so
	// the devices have names that no other run has.
	if err := veths(r, r.A, r.B); err != nil {
		return nil, err
	}
	if err := r.Run(
		"ip -n "+r.A+" link set eth0 address "+macA,
		"ip -n "+r.B+" link set eth0 address "+macB,
	); err != nil {
		return nil, err
	}
	on := func(device string) string { return fmt.Sprintf("%s\ndevice = %q", driver, device) }
	return []workload{
		{"a", on(r.A), macA, addressA.Addr().String()},
		{"b", on(r.B), macB, addressB.Addr().String()},
	}, addresses(r)
}
