package peers

import (
	"fmt"

	"bulkhead/bench/rig"
)

// bulkheadTAP is the switch with TAP ports: it makes the devices and moves them
// into the namespaces, with their addresses.
var bulkheadTAP = Peer{
	Name:  "bulkhead-tap",
	Tools: []Tool{toolIP},
	Up: func(r *rig.Rig) (Link, error) {
		tap := func(space string) string { return fmt.Sprintf("netns = %q\ndevice = \"eth0\"", space) }
		return Link{To: addressB.Addr(), Note: "vswitchd, TAP ports, stateful policy on"}, upSwitch(r,
			workload{"a", tap(r.A), macA, addressA.Addr().String()},
			workload{"b", tap(r.B), macB, addressB.Addr().String()})
	},
}
