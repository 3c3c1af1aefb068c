package config

import (
	"fmt"
	"slices"
	"strings"
)

func (c *checker) port(i int, f *filePort) Port {
	key := func(k string) string { return fmt.Sprintf("ports[%d].%s", i, k) }
	p := Port{
		Name: f.Name, Segment: f.Segment, Netns: f.Netns, Device: f.Device, File: f.File, Labels: f.Labels, NoRoute: f.NoRoute,
		Driver: c.word(key("driver"), f.Driver),
		Role:   c.word(key("role"), f.Role),
		Mode:   c.word(key("mode"), f.Mode),
		Queues: c.queues(key("queues"), f.Queues),
		MTU:    c.number(key("mtu"), f.MTU),
	}
	c.device(key, &p)
	p.L2 = c.l2(key, f)
	c.collector(key, &p, f)
	switch p.Role {
	case RoleUplink:
		c.noEndpoint(key)
		return p
	case RoleMirror:
		c.onlyMirrors(key, &p)
		return p
	}
	if c.set[key("segment")] || !c.set[key("vlans")] {
		c.reference(key("segment"), "segment", f.Segment, c.segments)
	}
	c.portMTU(key("mtu"), &p)
	c.binding(key, &p, f)
	return p
}

// queues are by default as many as the workers.
func (c *checker) queues(key string, n int) int {
	if n = c.number(key, n); !c.set[key] {
		return c.cfg.Workers
	}
	return n
}

// portMTU is the segment's, on a trunk the largest of its segments'; a smaller
// one is fine, a larger one would carry frames that nobody else in the segment
// takes.
func (c *checker) portMTU(key string, p *Port) {
	var s *Segment
	for _, name := range p.Segments() {
		if i, known := c.segments.index[name]; known && (s == nil || c.cfg.Segments[i].MTU > s.MTU) {
			s = &c.cfg.Segments[i]
		}
	}
	if s == nil {
		return
	}
	if !c.set[key] {
		p.MTU = s.MTU
		return
	}
	if p.MTU > s.MTU && s.MTU >= ruleOf("segments[0].mtu").least {
		c.wrong(key, fmt.Sprintf("at most %d, or set the segment's mtu", s.MTU), "%d is more than the mtu of segment %q", p.MTU, s.Name)
	}
}

// ofWorkloads are the keys that mean something for a port of workloads only.
var ofWorkloads = []string{"segment", "mac", "ips", "labels", "host", "prefixes", "no_default_route", "vlans", "vlan_type", "priority_tags", "multicast_router", "loop_retry"}

// noEndpoint notes what an uplink has no use for.
func (c *checker) noEndpoint(key func(string) string) {
	for _, k := range ofWorkloads {
		if c.set[key(k)] {
			c.wrong(key(k), "take it away; an uplink's addresses are those of [vtep]", "an uplink is in no segment and has no endpoint")
		}
	}
}

// ofDriver says which driver the keys are for that not all have.
var ofDriver = map[string][]string{
	"netns": {"tap", "auto"}, "no_default_route": {"tap", "auto"}, "mode": {"xdp"}, "file": {"pcap"}, "device": {"tap", "auto", "xdp", "packet"},
}

// device checks where a port is.
func (c *checker) device(key func(string) string, p *Port) {
	for _, k := range []string{"netns", "no_default_route", "mode", "file", "device"} {
		if drivers := ofDriver[k]; c.set[key(k)] && !slices.Contains(drivers, p.Driver) && slices.Contains(ruleOf("ports[0].driver").words, p.Driver) {
			c.wrong(key(k), fmt.Sprintf("take it away, or set driver = %q", drivers[0]), "a port of driver %s has no %s", p.Driver, k)
		}
	}
	switch {
	case p.Device == "" && (p.Driver == "xdp" || p.Driver == "packet" || p.Driver == "auto" && p.Netns == ""):
		c.wrong(key("device"), `add device = "eth1" or the like`, "a port of driver %s must name the device to attach to", p.Driver)
		return
	case p.Driver == "packet" && p.Role == RoleUplink:
		c.wrong(key("driver"), `set driver = "xdp" or "udp", which leave the host its frames`, "a packet port has its device for itself, and an uplink is the host's, too")
		return
	case p.Driver == "udp" && p.Role != RoleUplink:
		c.wrong(key("driver"), `set role = "uplink", or another driver`, "a udp port carries tunnels and nothing else: it is an uplink")
		return
	case p.Driver == "udp", p.Driver == "erspan":
		return
	case p.Driver == "pcap" && p.File == "":
		c.wrong(key("file"), `add file = "frames.pcapng" or the like`, "a pcap port must name the capture to replay")
		return
	case p.Driver == "pcap":
		return
	}
	at, name := key("device"), p.Device
	if !c.set[at] {
		at, name = key("name"), deviceOf(p)
	}
	c.deviceName(at, name)
	c.deviceOnce(at, p.Netns, name)
}

// deviceOf is the name that the tap driver gives a device that has none.
func deviceOf(p *Port) string {
	if p.Device == "" && p.Netns != "" {
		return "eth0"
	}
	if p.Device == "" {
		return p.Name
	}
	return p.Device
}

// deviceName notes what the kernel does not take as a device's name.
func (c *checker) deviceName(key, s string) {
	switch {
	case s == "" && c.set[key]:
		c.wrong(key, "name it, or take the key away", "a device's name is not empty")
	case len(s) > maxDevice:
		c.wrong(key, fmt.Sprintf("set device to at most %d bytes", maxDevice), "%s is too long for a device's name", short(s))
	case s == "." || s == ".." || strings.ContainsAny(s, "/:% \t\r\n\x00"):
		c.wrong(key, "set device to a name without blanks, slash, colon and percent", "%s is no device's name", short(s))
	}
}

// deviceOnce notes a device that two ports want.
func (c *checker) deviceOnce(key, netns, name string) {
	at := netns + " " + name
	if other, taken := c.devices[at]; taken && name != "" {
		c.wrong(key, "give each port a device of its own", "device %q is also that of port %q", name, other)
		return
	}
	c.devices[at] = c.ports.all[len(c.cfg.Ports)]
}

// binding checks who is on a port: a MAC and IPs, or nobody.
func (c *checker) binding(key func(string) string, p *Port, f *filePort) {
	if !c.set[key("mac")] {
		for _, k := range []string{"ips", "labels", "host", "prefixes"} {
			if c.set[key(k)] {
				c.wrong(key(k), "add mac and ips, or take it away", "%s without a mac are nobody's", k)
			}
		}
		return
	}
	if !c.set[key("segment")] && c.set[key("vlans")] {
		c.wrong(key("mac"), "add segment, for untagged frames, or state who is there as [[endpoints]] with their segments", "a trunk has no segment for a mac to be in")
		return
	}
	if len(f.IPs) == 0 {
		c.wrong(key("ips"), "add ips, or take mac away", "a mac without ips is nobody: nothing could be sent from it")
	}
	p.Prefixes = c.behind(key("prefixes"), f.Prefixes)
	e := Endpoint{Name: f.Name, Segment: f.Segment, Labels: f.Labels, Host: f.Host}
	c.workload(key, &e, f.MAC, f.IPs)
	p.MAC, p.IPs, p.Labels = e.MAC, e.IPs, e.Labels
}
