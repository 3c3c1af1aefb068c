package config

import (
	"fmt"
	"net/netip"
	"slices"
)

func (c *checker) route(i int, f *fileRoute) Route {
	key := func(k string) string { return fmt.Sprintf("routes[%d].%s", i, k) }
	r := Route{VRF: c.text(key("vrf"), f.VRF), Blackhole: f.Blackhole}
	known := slices.ContainsFunc(c.cfg.Segments, func(s Segment) bool { return s.VRF == r.VRF })
	if !known {
		c.wrong(key("vrf"), "name that of a segment", "no segment is in VRF %s", short(r.VRF))
	}
	if !f.Blackhole {
		r.Via, _ = netip.ParseAddr(f.Via) // read, and said what is wrong, below
	}
	if !c.set[key("prefix")] {
		c.wrong(key("prefix"), "add the destination, as 10.0.0.0/8 or ::/0", "a route needs a prefix")
	} else if p, good := c.prefix(key("prefix"), f.Prefix); good {
		r.Prefix = p
		c.routeOnce(key("prefix"), &r)
	}
	switch {
	case f.Blackhole && c.set[key("via")]:
		c.wrong(key("via"), "take via or blackhole away", "a blackhole leads nowhere")
	case !f.Blackhole && !c.set[key("via")]:
		c.wrong(key("via"), "add via = the next hop's address, or blackhole = true", "a route leads somewhere or is a blackhole")
	case !f.Blackhole:
		if via, good := c.addr(key("via"), f.Via); good {
			r.Via = via
			c.nextHop(key("via"), &r, known)
		}
	}
	return r
}

// routeOnce notes a destination that is there already, unless both are next hops
// of one route.
func (c *checker) routeOnce(key string, r *Route) {
	hops := 1
	for _, other := range c.cfg.Routes {
		if other.VRF != r.VRF || other.Prefix != r.Prefix {
			continue
		}
		switch hops++; {
		case other.Blackhole || r.Blackhole:
			c.wrong(key, "take one away", "VRF %q has a route to %s, and a blackhole", r.VRF, r.Prefix)
			return
		case other.Via == r.Via:
			c.wrong(key, "take one away", "VRF %q has that route to %s twice", r.VRF, r.Prefix)
			return
		case hops > maxHops:
			c.wrong(key, fmt.Sprintf("at most %d", maxHops), "VRF %q has %d next hops to %s", r.VRF, hops, r.Prefix)
			return
		}
	}
	for _, g := range c.prefixes {
		if g.vrf == r.VRF && g.prefix.Masked() == r.Prefix {
			c.wrong(key, "take it away", "%s is the prefix of segment %q: it is reached without a route", r.Prefix, g.segment)
		}
	}
}

// nextHop notes a next hop that is on no segment of the VRF.
func (c *checker) nextHop(key string, r *Route, known bool) {
	if r.Prefix.IsValid() && r.Via.Is4() != r.Prefix.Addr().Is4() {
		c.wrong(key, "name a next hop of the prefix's family", "%s and %s are of two families", r.Prefix, r.Via)
		return
	}
	if !known {
		return
	}
	if who, taken := c.addrs[r.VRF+" "+r.Via.String()]; taken && c.isGateway(r) {
		c.wrong(key, "name the router's own address", "%s is %s: the switch itself", r.Via, who)
		return
	}
	inside := func(g gatewayPrefix) bool { return g.vrf == r.VRF && g.prefix.Contains(netip.Addr(r.Via)) }
	if !slices.ContainsFunc(c.prefixes, inside) {
		c.wrong(key, "add a gateway whose prefix has it", "%s is in no segment of VRF %q", r.Via, r.VRF)
	}
}

func (c *checker) isGateway(r *Route) bool {
	return slices.ContainsFunc(c.prefixes, func(g gatewayPrefix) bool { return g.vrf == r.VRF && g.prefix.Addr() == r.Via })
}
