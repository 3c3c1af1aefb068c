package config

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	"bulkhead/dataplane/packet"
)

func (c *checker) segment(i int, f *fileSegment) Segment {
	key := func(k string) string { return fmt.Sprintf("segments[%d].%s", i, k) }
	s := Segment{
		Name: f.Name, VRF: c.vrf(key("vrf"), f.VRF), Learning: f.Learning, Snooping: f.Snooping,
		VNI:       uint32(c.number(key("vni"), f.VNI)),
		Unknown:   c.word(key("unknown"), f.Unknown),
		Broadcast: c.word(key("broadcast"), f.Broadcast),
		MTU:       c.number(key("mtu"), f.MTU),
	}
	if s.VNI != 0 && !c.set[key("mtu")] && c.tunnelMTU != 0 {
		s.MTU = c.tunnelMTU
	}
	if s.VNI != 0 {
		for _, other := range c.cfg.Segments {
			if other.VNI == s.VNI {
				c.wrong(key("vni"), "a VNI is one segment's", "%d is also that of segment %q", s.VNI, other.Name)
			}
		}
	}
	if s.Snooping && s.Broadcast != flood {
		c.wrong(key("snooping"), `set broadcast = "flood"`, "a segment that floods no multicast has nothing to snoop for")
	}
	s.Lease = c.number(key("lease"), f.Lease)
	if len(f.DNS) > packet.MaxDNS {
		c.wrong(key("dns"), fmt.Sprintf("at most %d", packet.MaxDNS), "%d name servers", len(f.DNS))
	}
	for j, text := range f.DNS {
		if a, good := c.addr(fmt.Sprintf("%s[%d]", key("dns"), j), text); good {
			s.DNS = append(s.DNS, a)
		}
	}
	s.GatewayMAC = defaultGatewayMAC(f.Name)
	if c.set[key("gateway_mac")] {
		s.GatewayMAC, _ = c.mac(key("gateway_mac"), f.GatewayMAC)
	}
	if len(f.Gateways) > maxGateways {
		c.wrong(key("gateways"), fmt.Sprintf("at most %d", maxGateways), "%d gateways", len(f.Gateways))
	}
	for j, text := range f.Gateways {
		at := fmt.Sprintf("%s[%d]", key("gateways"), j)
		p, good := c.inPrefix(at, text)
		if !good {
			continue
		}
		s.Gateways = append(s.Gateways, p)
		c.gatewayAt(at, &s, p)
	}
	if len(s.Gateways) == 0 && c.set[key("gateway_mac")] && !c.set[key("gateways")] {
		c.wrong(key("gateway_mac"), "add gateways, or take it away", "there is no gateway to have it")
	}
	if s.MTU < leastMTU6 && slices.ContainsFunc(s.Gateways, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		c.wrong(key("mtu"), fmt.Sprintf("at least %d (RFC 8200)", leastMTU6), "%d is too small for IPv6", s.MTU)
	}
	return s
}

// maxGateways bounds a segment's gateways: every packet for one looks through
// them (dataplane.MaxGateways).
const maxGateways = 8

func (c *checker) vrf(key, name string) string {
	name = c.text(key, name)
	if !goodName(name) {
		c.wrong(key, nameForm, "%s is no name", short(name))
	}
	return name
}

// defaultGatewayMAC makes a gateway's MAC of its segment's name, so that it is
// the same on every host without being agreed on.
func defaultGatewayMAC(name string) packet.MAC {
	h := fnv.New64a()
	h.Write([]byte("gateway of " + name))
	sum := h.Sum(nil)
	return packet.MAC{0x02, 0xbb, sum[0], sum[1], sum[2], sum[3]}
}

// gatewayAt takes a gateway's addresses, so that no workload has them, too.
func (c *checker) gatewayAt(key string, s *Segment, p netip.Prefix) {
	who := fmt.Sprintf("the gateway of segment %q", s.Name)
	c.addrs[s.VRF+" "+p.Addr().String()] = who
	c.macs[s.Name+" "+s.GatewayMAC.String()] = who
	c.prefixes = append(c.prefixes, gatewayPrefix{s.VRF, p, s.Name, key})
}

// gatewayPrefix is the prefix of a gateway and where it stands.
type gatewayPrefix struct {
	vrf     string
	prefix  netip.Prefix
	segment string
	key     string
}

// gatewaysApart notes prefixes of one VRF that overlap: an address in both
// would be in two segments, or have two gateways. Two prefixes are apart or
// one is inside the other, so in order of address it is inside the last that
// it is not apart from.
func (c *checker) gatewaysApart() {
	slices.SortStableFunc(c.prefixes, func(a, b gatewayPrefix) int {
		return cmp.Or(cmp.Compare(a.vrf, b.vrf), a.prefix.Masked().Addr().Compare(b.prefix.Masked().Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	last := gatewayPrefix{}
	for _, p := range c.prefixes {
		if last.vrf != p.vrf || !last.prefix.Contains(p.prefix.Addr()) {
			last = p
			continue
		}
		c.wrong(p.key, "give them prefixes that are apart, or another vrf", "%s overlaps %s of segment %q", p.prefix, last.prefix, last.segment)
	}
}
