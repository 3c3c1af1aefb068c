package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Stated is what somebody other than the file states of the overlay: segments
// and peers, as texts that nobody has believed yet.
type Stated struct {
	Segments []StatedSegment
	Peers    []StatedPeer
}

// StatedSegment is a segment; what is zero has the default of the file's key.
type StatedSegment struct {
	Name       string
	VNI        int
	VRF        string
	Gateways   []string
	GatewayMAC string
}

// StatedPeer is a peer.
type StatedPeer struct {
	Name     string
	Address  string
	Segments []string
}

// With returns the configuration with more segments and peers behind its own,
// by the rules of the file; they flood nothing and learn nothing. The receiver
// is not changed. All that is wrong comes as one error.
func (cfg *Config) With(s Stated) (*Config, error) {
	next := *cfg
	next.Segments, next.Peers = slices.Clip(cfg.Segments), slices.Clip(cfg.Peers)
	c := newChecker("", nil)
	c.cfg, c.tunnelMTU = &next, cfg.tunnelMTU()
	for i := range cfg.Segments {
		for _, g := range cfg.Segments[i].Gateways {
			c.gatewayAt("", &cfg.Segments[i], g)
		}
	}
	c.numberSegments(cfg, s.Segments)
	for i := range s.Segments {
		at := len(next.Segments)
		next.Segments = append(next.Segments, c.statedSegment(at, &s.Segments[i]))
	}
	c.gatewaysApart()
	c.gatewaysFree(cfg)
	c.numberPeers(cfg, s.Peers)
	if cfg.VTEP == nil && len(s.Peers) > 0 {
		c.wrong("vtep", "add [vtep] to the configuration, with our own address on the underlay", "a peer is reached by a tunnel, and there is no [vtep]")
	} else {
		for i := range s.Peers {
			at := len(next.Peers)
			next.Peers = append(next.Peers, c.statedPeer(at, &s.Peers[i]))
		}
	}
	if len(c.mistakes) > 0 {
		return nil, c.byName(&next, s)
	}
	return &next, nil
}

// tunnelMTU is what a tunnel leaves of the uplink's MTU; 0 without an overlay.
func (cfg *Config) tunnelMTU() int {
	if cfg.VTEP == nil {
		return 0
	}
	header := tunnelHeader4
	if slices.ContainsFunc(cfg.VTEP.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		header = tunnelHeader6
	}
	p := cfg.Port(cfg.VTEP.Uplink)
	if p == nil {
		return 0
	}
	return max(1, p.MTU-header)
}

// numberSegments makes the names of segments known, the file's first.
func (c *checker) numberSegments(cfg *Config, more []StatedSegment) {
	n := len(cfg.Segments)
	c.atMost("segments", n+len(more), maxSegments)
	for i := range n + len(more) {
		c.set[fmt.Sprintf("segments[%d].name", i)] = true
	}
	c.segments = c.named("segments", n+len(more), func(i int) string {
		if i < n {
			return cfg.Segments[i].Name
		}
		return more[i-n].Name
	})
}

func (c *checker) numberPeers(cfg *Config, more []StatedPeer) {
	n := len(cfg.Peers)
	c.atMost("peers", n+len(more), maxPeers)
	for i := range n + len(more) {
		c.set[fmt.Sprintf("peers[%d].name", i)] = true
	}
	c.peers = c.named("peers", n+len(more), func(i int) string {
		if i < n {
			return cfg.Peers[i].Name
		}
		return more[i-n].Name
	})
}

// statedSegment reads a segment as if it stood in the file at place i.
func (c *checker) statedSegment(i int, s *StatedSegment) Segment {
	key := func(k string) string { return fmt.Sprintf("segments[%d].%s", i, k) }
	c.set[key("vni")], c.set[key("vrf")] = true, s.VRF != ""
	c.set[key("gateways")], c.set[key("gateway_mac")] = len(s.Gateways) > 0, s.GatewayMAC != ""
	return c.segment(i, &fileSegment{Name: s.Name, VNI: s.VNI, VRF: s.VRF, Gateways: s.Gateways, GatewayMAC: s.GatewayMAC})
}

// statedPeer reads a peer as if it stood in the file at place i.
func (c *checker) statedPeer(i int, p *StatedPeer) Peer {
	c.set[fmt.Sprintf("peers[%d].address", i)] = true
	for j := range p.Segments {
		c.set[fmt.Sprintf("peers[%d].segments[%d]", i, j)] = true
	}
	return c.peer(i, &filePeer{Name: p.Name, Address: p.Address, Segments: p.Segments})
}

// gatewaysFree notes a gateway at the address of a workload of the file, which
// would answer for it, or at an outside address of a translation.
func (c *checker) gatewaysFree(cfg *Config) {
	note := func(segment, who string, has func(g gatewayPrefix) bool) {
		s := cfg.Segment(segment)
		for _, g := range c.prefixes {
			if s != nil && g.key != "" && g.vrf == s.VRF && has(g) {
				c.wrong(g.key, "give the gateway another", "%s is also that of %q", g.prefix.Addr(), who)
			}
		}
	}
	for _, g := range c.prefixes {
		if g.key != "" && cfg.isOutside(g.vrf, g.prefix.Addr()) {
			c.wrong(g.key, "give the gateway another", "%s is an outside address, of snat or dnat", g.prefix.Addr())
		}
	}
	for i := range cfg.Ports {
		p := &cfg.Ports[i]
		note(p.Segment, p.Name, func(g gatewayPrefix) bool { return slices.Contains(p.IPs, g.prefix.Addr()) })
	}
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		note(e.Segment, e.Name, func(g gatewayPrefix) bool { return slices.Contains(e.IPs, g.prefix.Addr()) })
	}
}

// isOutside tells whether a translation has an address as an outside one.
func (cfg *Config) isOutside(vrf string, a netip.Addr) bool {
	return slices.ContainsFunc(cfg.SNAT, func(s SNAT) bool { return s.VRF == vrf && slices.Contains(s.Pool, a) }) ||
		slices.ContainsFunc(cfg.DNAT, func(d DNAT) bool { return d.VRF == vrf && d.Outside.Addr() == a })
}

// byName names in mistakes what is meant by its own name: who states a segment
// does not know which number it has here.
func (c *checker) byName(next *Config, s Stated) Mistakes {
	var pairs []string
	for i := range s.Segments {
		pairs = append(pairs, fmt.Sprintf("segments[%d]", len(next.Segments)-len(s.Segments)+i), "segment "+short(s.Segments[i].Name))
	}
	first := len(next.Peers) - len(s.Peers)
	if next.VTEP == nil {
		first = len(next.Peers)
	}
	for i := range s.Peers {
		pairs = append(pairs, fmt.Sprintf("peers[%d]", first+i), "peer "+short(s.Peers[i].Name))
	}
	names := strings.NewReplacer(pairs...)
	for i := range c.mistakes {
		m := &c.mistakes[i]
		m.Key, m.Text = names.Replace(m.Key), names.Replace(m.Text)
	}
	return c.mistakes
}
