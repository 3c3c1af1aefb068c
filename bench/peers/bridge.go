package peers

import "bulkhead/bench/rig"

// bridge is the kernel's bridge: what connects containers by default, and the
// least that can be done with a frame. It judges nothing.
var bridge = Peer{
	Name:  "bridge",
	Tools: []Tool{toolIP},
	Up: func(r *rig.Rig) (Link, error) {
		return Link{To: addressB.Addr(), Note: "kernel bridge of two veths, no policy"}, upBridge(r)
	},
}

func upBridge(r *rig.Rig) error {
	if err := veths(r, "pa", "pb"); err != nil {
		return err
	}
	m := "ip -n " + r.Middle
	if err := r.Run(
		m+" link add br0 type bridge",
		m+" link set br0 up",
		m+" link set pa master br0 up",
		m+" link set pb master br0 up",
	); err != nil {
		return err
	}
	return addresses(r)
}
