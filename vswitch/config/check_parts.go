package config

import (
	"fmt"
	"hash/fnv"
	"net/netip"

	"bulkhead/dataplane/packet"
)

func (c *checker) segment(i int, f *fileSegment) Segment {
	key := func(k string) string { return fmt.Sprintf("segments[%d].%s", i, k) }
	s := Segment{
		Name: f.Name, VRF: f.VRF, Learning: f.Learning,
		Unknown:   c.one(key("unknown"), f.Unknown, dropped, flood),
		Broadcast: c.one(key("broadcast"), f.Broadcast, dropped, flood),
		MTU:       c.number(key("mtu"), f.MTU, DefaultMTU, minMTU, maxMTU),
	}
	if s.VRF == "" {
		s.VRF = DefaultVRF
	}
	if f.VNI < 0 || f.VNI > packet24 {
		c.wrong(key("vni"), "%d is no VNI; from 1 to %d", f.VNI, packet24)
	}
	s.VNI = uint32(f.VNI)
	for j, text := range f.Gateways {
		if p, fine := c.gateway(fmt.Sprintf("segments[%d].gateways", i), text); fine {
			s.Gateways = append(s.Gateways, p)
			c.claimGateway(key("gateways"), &s, s.Gateways[j:])
		}
	}
	s.GatewayMAC = defaultGatewayMAC(f.Name)
	if f.GatewayMAC != "" {
		s.GatewayMAC = c.mac(key("gateway_mac"), f.GatewayMAC)
	}
	return s
}

const packet24 = 1<<24 - 1

// defaultGatewayMAC makes a gateway's MAC of its segment's name, so that it is
// the same on every host without being agreed on.
func defaultGatewayMAC(name string) packet.MAC {
	h := fnv.New64a()
	h.Write([]byte("gateway of " + name))
	sum := h.Sum(nil)
	return packet.MAC{0x02, 0xbb, sum[0], sum[1], sum[2], sum[3]}
}

// gateway reads an address with its prefix's length.
func (c *checker) gateway(key, s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		c.wrong(key, "%q is no address with a prefix length; write it as 10.0.0.1/24 or fd00::1/64", s)
		return p, false
	}
	if p.Addr() == p.Masked().Addr() && p.Bits() < p.Addr().BitLen()-1 {
		c.wrong(key, "%q is the network's own address; the gateway is a host of it, as %s/%d", s, p.Addr().Next(), p.Bits())
	}
	return p, true
}

// claimGateway notes a gateway's address that is taken.
func (c *checker) claimGateway(key string, s *Segment, added []netip.Prefix) {
	for _, g := range added {
		taken := s.VRF + " " + g.Addr().String()
		if other, dup := c.addrs[taken]; dup {
			c.wrong(key, "%s is also that of %q", g.Addr(), other)
		}
		c.addrs[taken] = "gateway of " + s.Name
	}
}

func (c *checker) port(i int, f *filePort, cfg *Config) Port {
	key := func(k string) string { return fmt.Sprintf("ports[%d].%s", i, k) }
	p := Port{
		Name: f.Name, Segment: f.Segment, Netns: f.Netns, Device: f.Device, Labels: f.Labels, NoRoute: f.NoRoute,
		Driver: c.one(key("driver"), f.Driver, "tap", "xdp", "pcap"),
		Role:   c.one(key("role"), f.Role, RoleWorkload, RoleUplink),
		Mode:   c.one(key("mode"), f.Mode, "auto", "native", "generic"),
		Queues: c.number(key("queues"), f.Queues, cfg.Workers, 1, maxWorkers),
		File:   f.File,
	}
	mtu := DefaultMTU
	if s := cfg.Segment(f.Segment); s != nil && p.Role == RoleWorkload {
		mtu = s.MTU
	}
	p.MTU = c.number(key("mtu"), f.MTU, mtu, minMTU, maxMTU)
	c.device(key, f)
	if p.Role == RoleUplink {
		if f.Segment != "" || f.MAC != "" || len(f.IPs) > 0 {
			c.wrong(key("role"), "an uplink is in no segment and has no endpoint; its addresses are [vtep]'s")
		}
		return p
	}
	c.reference(key("segment"), "segment", f.Segment, c.segments)
	c.binding(key, &p, f, cfg)
	return p
}

// device checks where a port is.
func (c *checker) device(key func(string) string, f *filePort) {
	if len(f.Device) > maxDeviceName {
		c.wrong(key("device"), "%q is too long for a device's name; at most %d bytes", f.Device, maxDeviceName)
	}
	if f.Driver == "xdp" && f.Device == "" {
		c.wrong(key("device"), "an xdp port must name the device to attach to")
	}
	if f.Driver == "pcap" && f.File == "" {
		c.wrong(key("file"), "a pcap port must name the capture to replay")
	}
}

// binding checks who is on a port: both MAC and IPs, or neither.
func (c *checker) binding(key func(string) string, p *Port, f *filePort, cfg *Config) {
	if f.MAC == "" && len(f.IPs) == 0 {
		if len(f.Labels) > 0 {
			c.wrong(key("labels"), "labels without mac and ips are nobody's")
		}
		return
	}
	if f.MAC == "" {
		c.wrong(key("ips"), "addresses need a mac to be bound to")
		return
	}
	p.MAC = c.mac(key("mac"), f.MAC)
	p.IPs = c.addrsIn(key("ips"), f.IPs, cfg.Segment(f.Segment))
	if len(p.IPs) == 0 {
		c.wrong(key("mac"), "a mac needs ips: nothing could be sent from it")
	}
	for _, text := range f.Prefixes {
		p.Prefixes = append(p.Prefixes, c.prefix(key("prefixes"), text))
	}
	c.labels(key("labels"), f.Labels)
	c.bound(key("mac"), f.Name, f.Segment, vrfOf(cfg, f.Segment), p.MAC, p.IPs)
}

func vrfOf(cfg *Config, segment string) string {
	if s := cfg.Segment(segment); s != nil {
		return s.VRF
	}
	return DefaultVRF
}

// addrsIn reads addresses that must lie in a segment's prefixes, where it has
// any of their family.
func (c *checker) addrsIn(key string, texts []string, s *Segment) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		a := c.addr(key, text)
		if !a.IsValid() {
			continue
		}
		out = append(out, a)
		if s == nil {
			continue
		}
		of, in := false, false
		for _, g := range s.Gateways {
			of = of || g.Addr().Is4() == a.Is4()
			in = in || g.Contains(a)
		}
		if of && !in {
			c.wrong(key, "%s is in no prefix of segment %q (%v)", a, s.Name, s.Gateways)
		}
	}
	return out
}

func (c *checker) labels(key string, labels map[string]string) {
	if len(labels) > maxLabels {
		c.wrong(key, "%d labels; at most %d", len(labels), maxLabels)
	}
}

func (c *checker) endpoint(i int, f *fileEndpoint, cfg *Config) Endpoint {
	key := func(k string) string { return fmt.Sprintf("endpoints[%d].%s", i, k) }
	e := Endpoint{Name: f.Name, Segment: f.Segment, Port: f.Port, Peer: f.Peer, Labels: f.Labels}
	if !goodName(f.Name) {
		c.wrong(key("name"), "%q is no name", f.Name)
	}
	for _, p := range cfg.Ports {
		if p.Name == f.Name && p.MAC != (packet.MAC{}) {
			c.wrong(key("name"), "%q is the endpoint of the port of that name", f.Name)
		}
	}
	for _, other := range cfg.Endpoints {
		if other.Name == f.Name {
			c.wrong(key("name"), "%q is there twice", f.Name)
		}
	}
	switch {
	case (f.Port == "") == (f.Peer == ""):
		c.wrong(key("port"), "an endpoint is on a port or behind a peer: name one of them")
	case f.Port != "":
		c.reference(key("port"), "port", f.Port, c.ports)
		if p := cfg.Port(f.Port); p != nil {
			e.Segment = p.Segment
		}
	default:
		c.reference(key("peer"), "peer", f.Peer, c.peers)
		c.reference(key("segment"), "segment", f.Segment, c.segments)
	}
	e.MAC = c.mac(key("mac"), f.MAC)
	e.IPs = c.addrsIn(key("ips"), f.IPs, cfg.Segment(e.Segment))
	c.labels(key("labels"), f.Labels)
	c.bound(key("mac"), f.Name, e.Segment, vrfOf(cfg, e.Segment), e.MAC, e.IPs)
	return e
}

// overlay checks the VTEP and the peers.
func (c *checker) overlay(f *file, cfg *Config) {
	if f.VTEP == nil {
		if len(f.Peers) > 0 {
			c.wrong("peers[0]", "peers need a [vtep]: our own address on the underlay, and the uplink to it")
		}
		return
	}
	v := &VTEP{Uplink: f.VTEP.Uplink, UDPPort: uint16(c.number("vtep.udp_port", f.VTEP.UDPPort, DefaultUDPPort, 1, 65535))}
	families := map[bool]bool{}
	for _, text := range f.VTEP.Addresses {
		p, fine := c.gateway("vtep.addresses", text)
		if fine && families[p.Addr().Is4()] {
			c.wrong("vtep.addresses", "%q: a VTEP has one address of each family", text)
		}
		families[p.Addr().Is4()] = true
		v.Addresses = append(v.Addresses, p)
	}
	if len(v.Addresses) == 0 {
		c.wrong("vtep.addresses", "a VTEP needs an address, with the length of its on-link prefix, as 192.0.2.1/24")
	}
	for _, text := range f.VTEP.Gateways {
		v.Gateways = append(v.Gateways, c.addr("vtep.gateways", text))
	}
	c.reference("vtep.uplink", "port", v.Uplink, c.ports)
	if p := cfg.Port(v.Uplink); p != nil && p.Role != RoleUplink {
		c.wrong("vtep.uplink", "port %q is no uplink; give it role = \"uplink\"", v.Uplink)
	}
	cfg.VTEP = v
	for i := range f.Peers {
		cfg.Peers = append(cfg.Peers, c.peer(i, &f.Peers[i], cfg))
	}
	c.unique("peers", c.peers)
}

func (c *checker) peer(i int, f *filePeer, cfg *Config) Peer {
	key := func(k string) string { return fmt.Sprintf("peers[%d].%s", i, k) }
	p := Peer{Name: f.Name, Segments: f.Segments, Address: c.addr(key("address"), f.Address)}
	for _, name := range f.Segments {
		c.reference(key("segments"), "segment", name, c.segments)
		if s := cfg.Segment(name); s != nil && s.VNI == 0 {
			c.wrong(key("segments"), "segment %q has no vni", name)
		}
	}
	for _, other := range cfg.Peers {
		if other.Address == p.Address {
			c.wrong(key("address"), "%s is also that of %q", p.Address, other.Name)
		}
	}
	return p
}

func (c *checker) route(i int, f *fileRoute, cfg *Config) Route {
	key := func(k string) string { return fmt.Sprintf("routes[%d].%s", i, k) }
	r := Route{VRF: f.VRF, Blackhole: f.Blackhole, Prefix: c.prefix(key("prefix"), f.Prefix)}
	if r.VRF == "" {
		r.VRF = DefaultVRF
	}
	switch {
	case f.Blackhole && f.Via != "":
		c.wrong(key("via"), "a blackhole leads nowhere: take via or blackhole away")
	case !f.Blackhole && f.Via == "":
		c.wrong(key("prefix"), "a route needs via = the next hop's address, or blackhole = true")
	case !f.Blackhole:
		r.Via = c.addr(key("via"), f.Via)
		if r.Via.IsValid() && r.Prefix.IsValid() && r.Via.Is4() != r.Prefix.Addr().Is4() {
			c.wrong(key("via"), "%s and %s are of two families", r.Prefix, r.Via)
		}
	}
	known := false
	for _, s := range cfg.Segments {
		known = known || s.VRF == r.VRF
	}
	if !known {
		c.wrong(key("vrf"), "no segment is in VRF %q", r.VRF)
	}
	return r
}
