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
			return l, upSwitchOf(r, rs, "", taps(r)...)
		},
	}
)

// bulkheadWorkers has a worker for each of two CPUs, and a queue of every port for
// each worker.
var bulkheadWorkers = Peer{
	Name: "bulkhead-tap-2-workers", Tools: []Tool{toolIP},
	Up: func(r *rig.Rig) (Link, error) {
		l := Link{To: addressB.Addr(), Note: "vswitchd, TAP ports, two workers, stateful policy on"}
		return l, upSwitchOf(r, ruleset(), "workers = 2", taps(r)...)
	},
}

// taps are TAP ports in A and B.
func taps(r *rig.Rig) []workload {
	tap := func(space string) string { return fmt.Sprintf("netns = %q\ndevice = \"eth0\"", space) }
	return []workload{{"a", tap(r.A), macA, addressA.Addr().String()}, {"b", tap(r.B), macB, addressB.Addr().String()}}
}
