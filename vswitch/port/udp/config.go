package udp

import (
	"errors"
	"fmt"
	"net/netip"

	"bulkhead/dataplane/packet"
)

// Config describes a UDP uplink.
type Config struct {
	Name    string       // the port's name in the switch
	Addrs   []netip.Addr // of the VTEP, one of each family at most; the host has them
	UDPPort uint16       // of the tunnels
	MTU     int          // bytes of IP that the underlay carries; 0: 1500
	Queues  int          // sockets of each family, among which the kernel spreads flows; 0: one
	Port    packet.PortID
}

// Bounds of a configuration.
const (
	minMTU     = 576
	maxMTU     = 9000
	maxQueues  = 64
	defaultMTU = 1500
)

// complete returns the configuration with its defaults, or all that is wrong
// with it.
func (c Config) complete() (Config, error) {
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	var errs []error
	if len(c.Addrs) == 0 || len(c.Addrs) > 2 || len(c.Addrs) == 2 && c.Addrs[0].Is4() == c.Addrs[1].Is4() {
		errs = append(errs, fmt.Errorf("addresses %v: must be one, or one of each family", c.Addrs))
	}
	if c.UDPPort == 0 {
		errs = append(errs, errors.New("no UDP port"))
	}
	if c.MTU < minMTU || c.MTU > maxMTU {
		errs = append(errs, fmt.Errorf("MTU %d: must be %d to %d", c.MTU, minMTU, maxMTU))
	}
	if c.Queues < 1 || c.Queues > maxQueues {
		errs = append(errs, fmt.Errorf("%d queues: must be 1 to %d", c.Queues, maxQueues))
	}
	if c.Port == packet.NoPort {
		errs = append(errs, errors.New("no port number"))
	}
	return c, errors.Join(errs...)
}
