package config

import (
	"fmt"
	"net/netip"
	"slices"
)

// overlay checks the VTEP, the peers, and what only both make possible.
func (c *checker) overlay(f *file) {
	if f.VTEP == nil {
		c.noOverlay()
		return
	}
	if c.silent["vtep"] {
		return
	}
	v := &VTEP{Uplink: f.VTEP.Uplink, ZeroSum6: f.VTEP.ZeroSum6, UDPPort: uint16(c.number("vtep.udp_port", f.VTEP.UDPPort))}
	c.cfg.VTEP = v
	c.vtepAddresses(v, f.VTEP.Addresses)
	c.vtepGateways(v, f.VTEP.Gateways)
	if p, found := c.reference("vtep.uplink", "port", v.Uplink, c.ports); found {
		if port := &c.cfg.Ports[p]; port.Role != RoleUplink {
			c.wrong("vtep.uplink", `give it role = "uplink"`, "port %q is no uplink", v.Uplink)
		} else {
			c.fitTunnel(v, port.MTU)
		}
	}
	for i := range c.cfg.Ports {
		if p := &c.cfg.Ports[i]; p.Role == RoleUplink && p.Name != v.Uplink && !c.silent["vtep.uplink"] {
			c.wrong(fmt.Sprintf("ports[%d].role", i), "take it away, or name it in [vtep]", "port %q is an uplink that [vtep] does not use", p.Name)
		}
	}
	for i := range f.Peers {
		c.cfg.Peers = append(c.cfg.Peers, c.peer(i, &f.Peers[i]))
	}
	for i := range c.cfg.Endpoints {
		c.behindPeer(fmt.Sprintf("endpoints[%d].segment", i), &c.cfg.Endpoints[i])
	}
}

// behindPeer checks that a peer is in the segment of an endpoint behind it:
// nothing could be sent there otherwise.
func (c *checker) behindPeer(key string, e *Endpoint) {
	if _, known := c.segments.index[e.Segment]; !known || e.Peer == "" {
		return
	}
	if p := c.cfg.Peer(e.Peer); p != nil && !slices.Contains(p.Segments, e.Segment) {
		c.wrong(key, "name it in the peer's segments", "peer %q is not in segment %q", e.Peer, e.Segment)
	}
}

// noOverlay notes what means nothing without [vtep].
func (c *checker) noOverlay() {
	const cure = "add [vtep] with our own address on the underlay and the uplink to it"
	for i := range c.peers.all {
		c.wrong(fmt.Sprintf("peers[%d]", i), cure, "a peer is reached by a tunnel, and there is no [vtep]")
	}
	for i := range c.cfg.Ports {
		if p := &c.cfg.Ports[i]; p.Role == RoleUplink {
			c.wrong(fmt.Sprintf("ports[%d].role", i), cure, "an uplink carries tunnels, and there is no [vtep]")
		}
	}
}

func (c *checker) vtepAddresses(v *VTEP, texts []string) {
	for i, text := range texts {
		key := fmt.Sprintf("vtep.addresses[%d]", i)
		p, good := c.inPrefix(key, text)
		if !good {
			continue
		}
		if v.of(p.Addr()).IsValid() {
			c.wrong(key, "take one away", "%s: a VTEP has one address of each family", text)
			continue
		}
		v.Addresses = append(v.Addresses, p)
	}
	if len(texts) == 0 {
		c.wrong("vtep.addresses", `add addresses = ["192.0.2.1/24"] or the like, with the length of the on-link prefix`, "a VTEP needs an address")
	}
}

// of returns the VTEP's address of the family of a; not valid if it has none.
func (v *VTEP) of(a netip.Addr) netip.Prefix {
	for _, p := range v.Addresses {
		if p.Addr().Is4() == a.Is4() {
			return p
		}
	}
	return netip.Prefix{}
}

// gatewayOf tells whether there is a gateway of the family of a.
func (v *VTEP) gatewayOf(a netip.Addr) bool {
	return slices.ContainsFunc(v.Gateways, func(g netip.Addr) bool { return g.Is4() == a.Is4() })
}

func (c *checker) vtepGateways(v *VTEP, texts []string) {
	for i, text := range texts {
		key := fmt.Sprintf("vtep.gateways[%d]", i)
		g, good := c.addr(key, text)
		if !good {
			continue
		}
		own := v.of(g)
		switch {
		case !own.IsValid():
			c.wrong(key, "add one, or take the gateway away", "the VTEP has no address of the family of %s", g)
		case own.Addr() == g:
			c.wrong(key, "name the router's address", "%s is our own address", g)
		case !own.Contains(g):
			c.wrong(key, "name an address of "+own.Masked().String(), "%s is not on-link", g)
		case v.gatewayOf(g):
			c.wrong(key, "take one away", "%s: there is a gateway of this family already", g)
		default:
			v.Gateways = append(v.Gateways, g)
		}
	}
}

// mtuInTunnel is what a tunnel leaves of the uplink's MTU, for the packets of
// the segments that it carries; 0 without an overlay.
func mtuInTunnel(f *file) int {
	if f.VTEP == nil {
		return 0
	}
	mtu, header := DefaultMTU, tunnelHeader4
	for i := range f.Ports {
		if f.Ports[i].Name == f.VTEP.Uplink && f.Ports[i].MTU > 0 {
			mtu = f.Ports[i].MTU
		}
	}
	for _, text := range f.VTEP.Addresses {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() {
			header = tunnelHeader6
		}
	}
	return max(1, mtu-header)
}

// fitTunnel notes an MTU of a segment that does not fit the uplink with a
// tunnel's headers around it.
func (c *checker) fitTunnel(v *VTEP, uplink int) {
	for i := range c.cfg.Segments {
		s, key := &c.cfg.Segments[i], fmt.Sprintf("segments[%d].mtu", i)
		least := ruleOf(key).least
		switch {
		case s.VNI == 0:
		case s.MTU > c.tunnelMTU:
			c.wrong(key, fmt.Sprintf("at most %d, or a larger mtu on port %q and the underlay", c.tunnelMTU, v.Uplink), "%d and the tunnel's headers do not fit the uplink's %d", s.MTU, uplink)
		case s.MTU < least && !c.set[key]:
			c.wrong(fmt.Sprintf("ports[%d].mtu", c.ports.index[v.Uplink]), fmt.Sprintf("at least %d more", least-s.MTU), "%d leaves %d in a tunnel, which is too small for segment %q", uplink, s.MTU, s.Name)
		}
	}
}

func (c *checker) peer(i int, f *filePeer) Peer {
	key := func(k string) string { return fmt.Sprintf("peers[%d].%s", i, k) }
	p := Peer{Name: f.Name, Segments: f.Segments}
	if !c.set[key("address")] {
		c.wrong(key("address"), "add the address of its VTEP", "a peer needs an address")
	} else if a, good := c.addr(key("address"), f.Address); good {
		p.Address = a
		c.reachable(key("address"), a)
		for _, other := range c.cfg.Peers {
			if other.Address == a {
				c.wrong(key("address"), "give each its own", "%s is also that of %q", a, other.Name)
			}
		}
	}
	for j, name := range f.Segments {
		at := fmt.Sprintf("%s[%d]", key("segments"), j)
		s, found := c.reference(at, "segment", name, c.segments)
		switch {
		case found && c.cfg.Segments[s].VNI == 0:
			c.wrong(at, "give it one", "segment %q has no vni", name)
		case slices.Contains(f.Segments[:j], name):
			c.wrong(at, "take one away", "segment %q is there twice", name)
		}
	}
	p.Groups = f.Groups
	for j, name := range f.Groups {
		at := fmt.Sprintf("%s[%d]", key("groups"), j)
		if _, found := c.reference(at, "group", name, c.groups); found && slices.Contains(f.Groups[:j], name) {
			c.wrong(at, "take one away", "group %q is there twice", name)
		}
	}
	return p
}

// reachable notes a peer that no outer packet could reach.
func (c *checker) reachable(key string, a netip.Addr) {
	own := c.cfg.VTEP.of(a)
	up := c.cfg.Port(c.cfg.VTEP.Uplink)
	switch {
	case !own.IsValid() && !c.silent["vtep.addresses"]:
		c.wrong(key, "add an address of its family to vtep.addresses", "the VTEP has no address of the family of %s", a)
	case own.IsValid() && own.Addr() == a:
		c.wrong(key, "name the other host's", "%s is our own VTEP's address", a)
	case up != nil && up.Driver == "udp": // the host's routes lead there
	case own.IsValid() && !own.Contains(a) && !c.cfg.VTEP.gatewayOf(a):
		c.wrong(key, "add the router on the way to vtep.gateways", "%s is not in %s, and there is no gateway", a, own.Masked())
	}
}
