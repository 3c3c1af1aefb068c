package peers

import (
	"fmt"
	"syscall"
	"time"

	"bulkhead/bench/crowd"
	"bulkhead/bench/rig"
)

// bulkheadTAP is the switch with TAP ports: it makes the devices and moves them
// into the namespaces, with their addresses.
var bulkheadTAP = Peer{
	Name:  "bulkhead-tap",
	Tools: []Tool{toolIP},
	Up: func(r *rig.Rig) (Link, error) {
		return Link{To: addressB.Addr(), Note: "vswitchd, TAP ports, stateful policy on"}, upSwitch(r, taps(r)...)
	},
}

// The switch under circumstances that ought to make no difference.
var (
	bulkheadReloading = Peer{
		Name: "bulkhead-tap-reloading", Tools: []Tool{toolIP},
		Up: func(r *rig.Rig) (Link, error) {
			l := Link{To: addressB.Addr(), Note: "vswitchd, TAP ports, reloads its configuration and policy five times a second"}
			if err := upSwitch(r, taps(r)...); err != nil {
				return l, err
			}
			r.Every(200*time.Millisecond, func() error { return r.Signal(syscall.SIGHUP) })
			return l, nil
		},
	}
	bulkheadRules = Peer{
		Name: "bulkhead-tap-100k-rules", Tools: []Tool{toolIP},
		Up: func(r *rig.Rig) (Link, error) {
			l := Link{To: addressB.Addr(), Note: "vswitchd, TAP ports, a policy of 100,000 rules between 10,000 services"}
			rs, err := crowd.Around(ruleset(), 100_000, 1, 2)
			if err != nil {
				return l, err
			}
			return l, upSwitchOf(r, rs, taps(r)...)
		},
	}
	bulkheadPorts = Peer{
		Name: "bulkhead-tap-10-ports", Tools: []Tool{toolIP},
		Up: func(r *rig.Rig) (Link, error) {
			ports := taps(r)
			for i := len(ports); i < 10; i++ {
				ports = append(ports, workload{fmt.Sprintf("p%d", i), fmt.Sprintf("netns = %q\ndevice = \"p%d\"", r.Middle, i), fmt.Sprintf("02:99:00:00:01:%02x", i), fmt.Sprintf("10.99.0.%d", 10+i)})
			}
			return Link{To: addressB.Addr(), Note: "vswitchd, ten TAP ports"}, upSwitch(r, ports...)
		},
	}
)

// taps are TAP ports in A and B.
func taps(r *rig.Rig) []workload {
	tap := func(space string) string { return fmt.Sprintf("netns = %q\ndevice = \"eth0\"", space) }
	return []workload{{"a", tap(r.A), macA, addressA.Addr().String()}, {"b", tap(r.B), macB, addressB.Addr().String()}}
}
