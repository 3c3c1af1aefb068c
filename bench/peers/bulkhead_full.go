package peers

import (
	"slices"

	"bulkhead/bench/crowd"
	"bulkhead/bench/rig"
)

// The switch with as much of everything as the project promises to hold in 1 GiB,
// and beside it with two ports and two rules: a million sessions each.
var (
	bulkheadFull = Peer{
		Name: "bulkhead-tap-1000-ports", Tools: []Tool{toolIP},
		Up: func(r *rig.Rig) (Link, error) {
			l := Link{To: addressB.Addr(), Note: "vswitchd, 1,000 TAP ports, a policy of 100,000 rules between 10,000 services, room for 1 M sessions"}
			rs, err := crowd.Around(ruleset(), 100_000, 1, 2)
			if err != nil {
				return l, err
			}
			more, err := others(r, 998, anotherTAP)
			if err != nil {
				return l, err
			}
			return l, upSwitchOf(r, rs, million, slices.Concat(twoAddresses(r), more)...)
		},
	}
	bulkheadMillion = Peer{
		Name: "bulkhead-tap-1m-sessions", Tools: []Tool{toolIP},
		Up: func(r *rig.Rig) (Link, error) {
			l := Link{To: addressB.Addr(), Note: "vswitchd, two TAP ports, two rules, room for 1 M sessions"}
			return l, upSwitchOf(r, ruleset(), million, twoAddresses(r)...)
		},
	}
)

// million has room for a million sessions that nobody has answered yet, of one port.
const million = "[limits]\nsessions = 1048576\nsessions_per_port = 1048576\nembryonic_per_port = 1048576"

// twoAddresses are TAP ports of which the first has a second address: one has not
// the ports for a million sessions.
func twoAddresses(r *rig.Rig) []workload {
	ports := taps(r)
	ports[0].ip += "\", \"10.99.0.3"
	return ports
}
