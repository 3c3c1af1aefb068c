package config

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"bulkhead/dataplane/policy"
)

// endpoints checks [[endpoints]]. Their names are apart from one another and
// from the ports that somebody is on.
func (c *checker) endpoints(list []fileEndpoint) {
	c.named("endpoints", len(list), func(i int) string { return list[i].Name })
	for i := range list {
		c.cfg.Endpoints = append(c.cfg.Endpoints, c.endpoint(i, &list[i]))
	}
}

func (c *checker) endpoint(i int, f *fileEndpoint) Endpoint {
	key := func(k string) string { return fmt.Sprintf("endpoints[%d].%s", i, k) }
	e := Endpoint{Name: f.Name, Segment: f.Segment, Port: f.Port, Peer: f.Peer, Labels: f.Labels, Host: f.Host}
	if p, is := c.ports.index[f.Name]; is && c.set[fmt.Sprintf("ports[%d].mac", p)] {
		c.wrong(key("name"), "give it a name of its own", "%q is the endpoint on the port of that name", f.Name)
	}
	c.place(key, &e)
	for _, k := range []string{"mac", "ips"} {
		if !c.set[key(k)] {
			c.wrong(key(k), "add "+k, "an endpoint needs %s", k)
		}
	}
	c.workload(key, &e, f.MAC, f.IPs)
	e.Prefixes = c.behind(key("prefixes"), f.Prefixes)
	return e
}

// place checks where an endpoint is: on a port, or in a segment behind a peer.
func (c *checker) place(key func(string) string, e *Endpoint) {
	onPort, behind := c.set[key("port")], c.set[key("peer")]
	switch {
	case onPort == behind:
		c.wrong(key("port"), "name one of port and peer", "an endpoint is on a port of this host or behind a peer")
	case onPort:
		p, found := c.reference(key("port"), "port", e.Port, c.ports)
		if !found {
			return
		}
		port := &c.cfg.Ports[p]
		switch {
		case port.Role == RoleUplink:
			c.wrong(key("port"), "name the peer that it is behind", "port %q is an uplink: nobody is on it", e.Port)
		case port.Role == RoleMirror:
			c.wrong(key("port"), "name the port of a workload", "port %q is a mirror's: nobody is on it", e.Port)
		case e.Segment == "" && port.Segment == "" && len(port.L2.VLANs) > 0:
			c.wrong(key("segment"), "name one of "+strings.Join(port.Segments(), ", "), "port %q is a trunk: the endpoint's segment must be named", e.Port)
		case e.Segment != "" && !port.Carries(e.Segment):
			cure := "take it away: the port has it"
			if len(port.L2.VLANs) > 0 {
				cure = "add a VLAN for it to the port's vlans"
			}
			c.wrong(key("segment"), cure, "port %q is in segment %q", e.Port, strings.Join(port.Segments(), ", "))
		}
		if e.Segment == "" || !port.Carries(e.Segment) {
			e.Segment = port.Segment
		}
	default:
		c.reference(key("peer"), "peer", e.Peer, c.peers)
		c.reference(key("segment"), "segment", e.Segment, c.segments)
	}
}

// workload checks what makes a workload: MAC, addresses and labels.
func (c *checker) workload(key func(string) string, e *Endpoint, mac string, ips []string) {
	var s *Segment
	vrf := DefaultVRF
	if i, known := c.segments.index[e.Segment]; known {
		s = &c.cfg.Segments[i]
		vrf = s.VRF
	}
	if c.set[key("mac")] {
		good := false
		if e.MAC, good = c.mac(key("mac"), mac); good {
			c.claim(c.macs, key("mac"), e.Segment, e.MAC.String(), e.Name)
		}
	}
	for i, text := range ips {
		at := fmt.Sprintf("%s[%d]", key("ips"), i)
		a, good := c.addr(at, text)
		if !good {
			continue
		}
		e.IPs = append(e.IPs, a)
		if s != nil {
			c.inSegment(at, a, s)
		}
		c.claim(c.addrs, at, vrf, a.String(), e.Name)
	}
	c.labels(key("labels"), e.Labels)
	if e.Host {
		e.Labels = withHost(e.Labels)
	}
}

// withHost adds the label that the service host selects by. There is no other
// way to get it.
func withHost(labels map[string]string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	out[policy.HostLabel] = policy.HostValue
	return out
}

// SplitHost takes the label away again, and tells whether it was there: what is
// shown to others says host = true, as the configuration does.
func SplitHost(labels map[string]string) (others map[string]string, host bool) {
	if _, host = labels[policy.HostLabel]; !host {
		return labels, false
	}
	others = maps.Clone(labels)
	delete(others, policy.HostLabel)
	return others, true
}

// behind reads the prefixes of which a router may send.
func (c *checker) behind(key string, texts []string) (out []netip.Prefix) {
	for i, text := range texts {
		if p, good := c.prefix(fmt.Sprintf("%s[%d]", key, i), text); good {
			out = append(out, p)
		}
	}
	return out
}

// claim notes what somebody else has.
func (c *checker) claim(taken map[string]string, key, scope, what, who string) {
	if other, dup := taken[scope+" "+what]; dup {
		c.wrong(key, "give each its own", "%s is also that of %s", what, other)
		return
	}
	taken[scope+" "+what] = fmt.Sprintf("%q", who)
}

// inSegment notes an address that no host of the segment can have. A segment
// without a gateway of a family has any address of it.
func (c *checker) inSegment(key string, a netip.Addr, s *Segment) {
	var family []string
	for _, g := range s.Gateways {
		if g.Addr().Is4() != a.Is4() {
			continue
		}
		family = append(family, g.Masked().String())
		if !g.Contains(a) {
			continue
		}
		if kind := edge(g, a); kind != "" {
			c.wrong(key, "name another address of it", "%s is the %s address of %s", a, kind, g.Masked())
		}
		return
	}
	if len(family) > 0 {
		c.wrong(key, "an address of "+strings.Join(family, " or "), "%s is in no prefix of segment %q", a, s.Name)
	}
}

// labels notes labels that no selector could name, or that nobody may give.
func (c *checker) labels(key string, labels map[string]string) {
	if len(labels) > maxLabels {
		c.wrong(key, fmt.Sprintf("at most %d", maxLabels), "there are %d labels", len(labels))
	}
	for k, v := range labels {
		at := under(key, k)
		switch {
		case strings.HasPrefix(k, policy.Reserved):
			c.wrong(at, "take it away; who is a host has host = true in the configuration", "labels that begin with %s are the switch's own", policy.Reserved)
		case k == "" || len(k) > maxLabel || !printable(k) || strings.ContainsAny(k, "=, "):
			c.wrong(at, fmt.Sprintf("1 to %d bytes without blanks, comma and equals sign", maxLabel), "%s is no label's key", short(k))
		case len(v) > maxLabel || !printable(v):
			c.wrong(at, fmt.Sprintf("at most %d bytes that can be printed", maxLabel), "%s is no label's value", short(v))
		}
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
