package packet

import (
	"errors"
	"fmt"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/vnet"
)

// Config describes a packet port.
type Config struct {
	Name   string // the port's name in the switch
	Device string // the device in the switch's namespace, e.g. the host's end of a veth
	MTU    int    // bytes of IP a frame may carry; 0: 1500
	Queues int    // sockets, among which the kernel spreads flows; 0: one
	Port   packet.PortID
	Loans  *port.Loans // memory for received superframes; nil: its own
}

// Bounds of a configuration.
const (
	minMTU     = 68 // RFC 791
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
	if c.Device == "" {
		errs = append(errs, errors.New("no device: a packet port is of a device that exists"))
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

// maxFrame is the longest frame sent, Ethernet header included.
func (c *Config) maxFrame() int { return c.MTU + vnet.EthernetLen }
