package tap

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port"
)

// Config describes a TAP port.
type Config struct {
	Name   string // the port's name in the switch
	Device string // the device's name in its namespace; empty: eth0, or Name without Netns
	// Netns is where the device goes: a name under /run/netns, a path,
	// "pid:N", or empty to leave it in the switch's namespace.
	Netns    string
	MAC      packet.MAC     // zero: the kernel's choice
	Addrs    []netip.Prefix // given to the device, without duplicate address detection
	Gateways []netip.Addr   // a default route through each; at most one a family
	Routes   []Route        // set with the link
	MTU      int            // bytes of IP; 0: 1500
	Queues   int            // 0: one
	Port     packet.PortID
	Loans    *port.Loans // memory for received frames; nil: its own
}

// Route is a route in the workload's namespace.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Bounds of a configuration.
const (
	maxName    = 15 // IFNAMSIZ less its zero
	minMTU     = 68 // RFC 791
	minMTU6    = 1280
	maxMTU     = 65521 // the kernel's for a TAP: 65535 less the Ethernet header
	maxQueues  = 64
	defaultMTU = 1500
)

// complete returns the configuration with its defaults, or all that is wrong
// with it.
func (c Config) complete() (Config, error) {
	if c.Device == "" {
		c.Device = "eth0"
		if c.Netns == "" {
			c.Device = c.Name
		}
	}
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	if c.Queues == 0 {
		c.Queues = 1
	}
	return c, errors.Join(c.checkName(), c.checkNumbers(), c.checkAddrs())
}

func (c *Config) checkName() error {
	switch {
	case c.Device == "" || c.Device == "." || c.Device == "..":
		return fmt.Errorf("device name %q: give the port a device name", c.Device)
	case len(c.Device) > maxName:
		return fmt.Errorf("device name %q is %d bytes long, Linux takes at most %d: set a shorter device name", c.Device, len(c.Device), maxName)
	case strings.ContainsAny(c.Device, "/: \t\n\x00%"):
		return fmt.Errorf("device name %q: must not contain blanks, slash, colon or percent", c.Device)
	}
	return nil
}

func (c *Config) checkNumbers() error {
	least := minMTU
	for _, a := range c.Addrs {
		if a.Addr().Is6() {
			least = minMTU6
		}
	}
	var errs []error
	if c.MTU < least || c.MTU > maxMTU {
		errs = append(errs, fmt.Errorf("MTU %d: must be %d to %d", c.MTU, least, maxMTU))
	}
	if c.Queues < 1 || c.Queues > maxQueues {
		errs = append(errs, fmt.Errorf("%d queues: must be 1 to %d", c.Queues, maxQueues))
	}
	if c.MAC[0]&1 != 0 {
		errs = append(errs, fmt.Errorf("MAC %x: a group address cannot be a device's", c.MAC[:]))
	}
	if c.Port == packet.NoPort {
		errs = append(errs, errors.New("no port number"))
	}
	return errors.Join(errs...)
}

func (c *Config) checkAddrs() error {
	var errs []error
	for _, a := range c.Addrs {
		if !a.IsValid() || a.Addr().Is4In6() || a.Addr().Zone() != "" || a.Addr().IsMulticast() || a.Addr().IsUnspecified() {
			errs = append(errs, fmt.Errorf("address %v: want a unicast address and its prefix length, e.g. 10.0.0.2/24", a))
		}
	}
	seen := map[bool]bool{}
	for _, g := range c.Gateways {
		switch {
		case !g.IsValid() || g.Is4In6():
			errs = append(errs, fmt.Errorf("gateway %v: not an address", g))
		case seen[g.Is4()]:
			errs = append(errs, fmt.Errorf("gateway %v: there is one of this family already", g))
		case !c.hasFamily(g):
			errs = append(errs, fmt.Errorf("gateway %v: the port has no address of this family", g))
		}
		seen[g.Is4()] = true
	}
	for _, r := range c.Routes {
		if !r.To.IsValid() || !r.Via.IsValid() || r.To.Addr().Is4() != r.Via.Is4() {
			errs = append(errs, fmt.Errorf("route %v via %v: want a prefix and an address of one family", r.To, r.Via))
		}
	}
	return errors.Join(errs...)
}

// hasFamily tells whether the device has an address of g's family.
func (c *Config) hasFamily(g netip.Addr) bool {
	for _, a := range c.Addrs {
		if a.Addr().Is4() == g.Is4() {
			return true
		}
	}
	return false
}

// onLink tells whether the device's own prefixes hold a.
func (c *Config) onLink(a netip.Addr) bool {
	for _, p := range c.Addrs {
		if p.Contains(a) {
			return true
		}
	}
	return a.IsLinkLocalUnicast()
}

// silent6 tells whether IPv6 is to be off on the device: nobody asked for an
// IPv6 address, and the namespace is ours, or was given all its addresses.
func (c *Config) silent6() bool {
	for _, a := range c.Addrs {
		if a.Addr().Is6() {
			return false
		}
	}
	return c.Netns == "" || len(c.Addrs) > 0
}
