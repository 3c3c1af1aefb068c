package main

import (
	"fmt"
	"io"
	"net/netip"

	"bulkhead/vswitch"
	"bulkhead/vswitch/config"
	"bulkhead/vswitch/port"
	"bulkhead/vswitch/port/erspan"
	"bulkhead/vswitch/port/netdev"
	"bulkhead/vswitch/port/packet"
	"bulkhead/vswitch/port/pcap"
	"bulkhead/vswitch/port/tap"
	"bulkhead/vswitch/port/udp"
	"bulkhead/vswitch/port/xdp"
)

func init() {
	vswitch.NewRecording = func(out io.Writer, ports []string) (vswitch.Recording, error) {
		return pcap.NewRecording(out, ports)
	}
}

// openPort opens a port with the driver that its configuration names: the one
// place that knows them all.
func openPort(c *config.Port, o vswitch.Opening) (port.Port, error) {
	switch c.Driver {
	case "auto":
		return openAuto(c, o)
	case "tap":
		return tap.Open(tapConfig(c, o))
	case "xdp":
		return xdp.Open(xdpConfig(c, o))
	case "packet":
		if err := xdp.Forget(c.Device); err != nil {
			return nil, fmt.Errorf("open packet port %q: %w", c.Name, err)
		}
		return packet.Open(packetConfig(c, o))
	case "udp":
		return udp.Open(udpConfig(c, o))
	case "erspan":
		return erspan.Open(erspanConfig(c, o))
	case "pcap":
		return pcap.Open(pcap.Config{Name: c.Name, Port: o.ID, MAC: c.MAC, MTU: c.MTU, In: c.File})
	}
	return nil, fmt.Errorf("driver %q is not in this build", c.Driver)
}

// silence closes the devices of all workloads before the first port is opened,
// so that nothing crosses between two of them by the host's stack while a third
// is still being opened. A port that is held since a switch before has its guard.
func silence(cfg *config.Config, held func(*config.Port) bool) error {
	for i := range cfg.Ports {
		c := &cfg.Ports[i]
		if !takesDevice(c) || held(c) {
			continue
		}
		if err := netdev.Silence(c.Device); err != nil {
			return fmt.Errorf("silence port %q: %w", c.Name, err)
		}
	}
	return nil
}

// takesDevice tells whether a port takes a workload's device that is there
// already, and has a life in the host's stack until then.
func takesDevice(c *config.Port) bool {
	switch c.Driver {
	case "xdp", "packet":
		return c.Role != config.RoleUplink
	case "auto":
		return c.Role != config.RoleUplink && c.Netns == ""
	}
	return false
}

// takePort makes the running half of a port that the port helper has opened.
func takePort(c *config.Port, o vswitch.Opening, h port.Handed) (port.Port, error) {
	switch h.Info.Driver {
	case "tap":
		return tap.Take(tapConfig(c, o), h)
	case "xdp":
		return xdp.Take(xdpConfig(c, o), h)
	case "packet":
		return packet.Take(packetConfig(c, o), h)
	case "udp":
		return udp.Take(udpConfig(c, o), h)
	case "erspan":
		return erspan.Take(erspanConfig(c, o), h)
	}
	return nil, fmt.Errorf("a port of driver %q cannot be taken over", h.Info.Driver)
}

// keepPort makes the privileged half of a port anew that a helper before had opened.
func keepPort(c *config.Port, o vswitch.Opening, h port.Handed) (port.Port, error) {
	switch c.Driver {
	case "tap":
		return tap.Keep(tapConfig(c, o), h)
	case "xdp":
		return xdp.Keep(xdpConfig(c, o), h)
	case "packet":
		return packet.Keep(packetConfig(c, o), h)
	case "udp":
		return udp.Keep(udpConfig(c, o), h)
	case "erspan":
		return erspan.Keep(erspanConfig(c, o), h)
	}
	return nil, fmt.Errorf("a port of driver %q cannot be taken over", c.Driver)
}

func packetConfig(c *config.Port, o vswitch.Opening) packet.Config {
	return packet.Config{Name: c.Name, Device: c.Device, MTU: c.MTU, Queues: c.Queues, Port: o.ID, Loans: o.Loans}
}

// xdpConfig leaves to the host what an uplink brings besides the tunnel: an
// uplink that is not the VTEP's takes nothing.
func xdpConfig(c *config.Port, o vswitch.Opening) xdp.Config {
	out := xdp.Config{
		Name: c.Name, Device: c.Device, Mode: c.Mode, MTU: c.MTU, Queues: c.Queues, Port: o.ID, Region: o.Region, Lent: o.Lent,
	}
	if c.Role != config.RoleUplink {
		return out
	}
	out.Uplink = &xdp.Filter{}
	if v := o.VTEP; v != nil && v.Uplink == c.Name {
		out.Uplink.UDPPort = v.UDPPort
		for _, a := range v.Addresses {
			out.Uplink.Addrs = append(out.Uplink.Addrs, a.Addr())
		}
	}
	return out
}

// udpConfig binds the VTEP's own addresses.
func udpConfig(c *config.Port, o vswitch.Opening) udp.Config {
	out := udp.Config{Name: c.Name, MTU: c.MTU, Queues: c.Queues, Port: o.ID}
	if v := o.VTEP; v != nil && v.Uplink == c.Name {
		out.UDPPort = v.UDPPort
		for _, a := range v.Addresses {
			out.Addrs = append(out.Addrs, a.Addr())
		}
	}
	return out
}

func erspanConfig(c *config.Port, o vswitch.Opening) erspan.Config {
	return erspan.Config{Name: c.Name, Remote: c.Collector.Remote, Port: o.ID}
}

// tapConfig makes the device what its workload expects: its addresses with the
// segment's prefix lengths, and a default route by way of the gateway.
func tapConfig(c *config.Port, o vswitch.Opening) tap.Config {
	out := tap.Config{
		Name: c.Name, Device: c.Device, Netns: c.Netns, MAC: c.MAC, MTU: c.MTU, Queues: c.Queues, Port: o.ID, Loans: o.Loans,
	}
	for _, ip := range c.IPs {
		bits := ip.BitLen()
		if g, found := gatewayFor(o.Segment, ip); found {
			bits = g.Bits()
			if !c.NoRoute {
				out.Gateways = append(out.Gateways, g.Addr())
			}
		}
		out.Addrs = append(out.Addrs, netip.PrefixFrom(ip, bits))
	}
	out.Gateways = oneOfEach(out.Gateways)
	return out
}

// gatewayFor finds the segment's prefix around an address.
func gatewayFor(s *config.Segment, ip netip.Addr) (netip.Prefix, bool) {
	if s != nil {
		for _, g := range s.Gateways {
			if g.Contains(ip) {
				return g, true
			}
		}
	}
	return netip.Prefix{}, false
}

// oneOfEach keeps the first address of each family.
func oneOfEach(in []netip.Addr) []netip.Addr {
	var out []netip.Addr
	seen := map[bool]bool{}
	for _, a := range in {
		if !seen[a.Is4()] {
			seen[a.Is4()] = true
			out = append(out, a)
		}
	}
	return out
}
