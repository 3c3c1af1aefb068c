package peers

import (
	"fmt"
	"slices"

	"bulkhead/bench/rig"
)

// The switch with ten ports of a kind, of which two carry traffic, if there is
// any: what a silent port costs.
var (
	tenTAP    = ten("tap", "ten TAP ports", func(r *rig.Rig) ([]workload, error) { return taps(r), nil }, anotherTAP)
	tenXDP    = ten("xdp", "ten AF_XDP ports on veths", func(r *rig.Rig) ([]workload, error) { return vethPorts(r, nativeXDP) }, anotherVeth(nativeXDP))
	tenPacket = ten("packet", "ten packet ports on veths", func(r *rig.Rig) ([]workload, error) { return vethPorts(r, packetDriver) }, anotherVeth(packetDriver))
)

// framesForTen is chunks for ten AF_XDP queues, whose rings hold 2048 each.
const framesForTen = "[limits]\nframes = 24576"

// ten makes a peer of a kind's two ports and eight others.
func ten(kind, note string, two func(*rig.Rig) ([]workload, error), other func(*rig.Rig, int) (string, error)) Peer {
	return Peer{
		Name: "bulkhead-" + kind + "-10-ports", Tools: []Tool{toolIP},
		Up: func(r *rig.Rig) (Link, error) {
			ports, err := two(r)
			if err != nil {
				return Link{}, err
			}
			more, err := others(r, 8, other)
			if err != nil {
				return Link{}, err
			}
			return Link{To: addressB.Addr(), Note: "vswitchd, " + note}, upSwitchOf(r, ruleset(), framesForTen, slices.Concat(ports, more)...)
		},
	}
}

// others are n ports that nobody sends by.
func others(r *rig.Rig, n int, other func(*rig.Rig, int) (string, error)) (ports []workload, err error) {
	for i := range n {
		driver, err := other(r, i)
		if err != nil {
			return nil, err
		}
		ports = append(ports, workload{
			fmt.Sprintf("p%d", i), driver,
			fmt.Sprintf("02:99:00:00:%02x:%02x", 1+i>>8, i&255), fmt.Sprintf("10.99.%d.%d", 1+i/250, 1+i%250),
		})
	}
	return ports, nil
}

// anotherTAP is a TAP port whose device is in the middle namespace.
func anotherTAP(r *rig.Rig, i int) (string, error) {
	return fmt.Sprintf("netns = %q\ndevice = \"p%d\"", r.Middle, i), nil
}

// anotherVeth makes a veth in the middle namespace, up at its far end, and a port
// on its near one.
func anotherVeth(driver string) func(*rig.Rig, int) (string, error) {
	return func(r *rig.Rig, i int) (string, error) {
		near, far := fmt.Sprintf("%s%d", r.Middle, i), fmt.Sprintf("far%d", i)
		m := "ip -n " + r.Middle
		return fmt.Sprintf("%s\ndevice = %q", driver, near), r.Run(
			m+" link add "+near+" type veth peer name "+far,
			m+" link set "+far+" up",
		)
	}
}
