package config

import (
	"fmt"
	"net/netip"

	"bulkhead/dataplane/packet"
)

// mac reads the MAC of a host.
func (c *checker) mac(key, s string) (packet.MAC, bool) {
	m, err := packet.ParseMAC(s)
	switch {
	case err != nil:
		c.wrong(key, "write it as 02:00:00:00:00:01", "%s is no MAC address", short(s))
	case m == (packet.MAC{}):
		c.wrong(key, "give it one, as 02:00:00:00:00:01", "%s is nobody's address", s)
	case m.IsMulticast():
		c.wrong(key, "the first byte must be even, as in 02:00:00:00:00:01", "%s is a group's address, not a host's", s)
	default:
		return m, true
	}
	return m, false
}

// addr reads an address that a host can have.
func (c *checker) addr(key, s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		c.wrong(key, "write it as 10.0.0.1 or fd00::1", "%s is no IP address", short(s))
		return a, false
	}
	return a, c.host(key, s, a)
}

// host notes an address that no host can be reached at.
func (c *checker) host(key, s string, a netip.Addr) bool {
	kind := ""
	switch {
	case a.Zone() != "":
		c.wrong(key, "write "+a.WithZone("").String(), "%q has a zone, which means nothing here", s)
		return false
	case a.Is4In6():
		c.wrong(key, "write "+a.Unmap().String(), "%q is IPv4 written as IPv6", s)
		return false
	case a.IsUnspecified():
		kind = "the unspecified address"
	case a.IsMulticast():
		kind = "a group's address"
	case a.IsLoopback():
		kind = "a loopback address"
	case a.IsLinkLocalUnicast():
		kind = "a link-local address, the same on every link"
	case a == broadcast4 || reserved4.Contains(a) || thisNet4.Contains(a):
		kind = "a reserved address"
	default:
		return true
	}
	c.wrong(key, "name an address that a host can be reached at", "%s is %s", a, kind)
	return false
}

var (
	broadcast4 = netip.MustParseAddr("255.255.255.255")
	thisNet4   = netip.MustParsePrefix("0.0.0.0/8")
	reserved4  = netip.MustParsePrefix("240.0.0.0/4") // RFC 1112 section 4
)

// prefix reads a prefix without host bits.
func (c *checker) prefix(key, s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		c.wrong(key, "write it as 10.0.0.0/24 or fd00::/64", "%s is no prefix", short(s))
	case p.Addr().Is4In6():
		c.wrong(key, "write IPv4 as IPv4", "%q is IPv4 written as IPv6", s)
	case p != p.Masked():
		c.wrong(key, "write "+p.Masked().String(), "%q has bits behind its length", s)
	default:
		return p, true
	}
	return p, false
}

// inPrefix reads a host's address with the length of the prefix it is in.
func (c *checker) inPrefix(key, s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		c.wrong(key, "write it as 10.0.0.1/24 or fd00::1/64", "%s is no address with a prefix length", short(s))
		return p, false
	}
	if !c.host(key, s, p.Addr()) {
		return p, false
	}
	if kind := edge(p, p.Addr()); kind != "" {
		c.wrong(key, fmt.Sprintf("name a host of it, as %s/%d", p.Masked().Addr().Next(), p.Bits()), "%s is the %s address of %s", p.Addr(), kind, p.Masked())
		return p, false
	}
	return p, true
}

// edge tells which of the addresses of a prefix that no host can have an
// address is; empty: it is none of them. RFC 3021 and RFC 6164 give both
// addresses of the smallest prefixes to hosts.
func edge(p netip.Prefix, a netip.Addr) string {
	if p.Bits() >= a.BitLen()-1 {
		return ""
	}
	if a == p.Masked().Addr() {
		if a.Is6() {
			return "routers' anycast" // RFC 4291 section 2.6.1
		}
		return "network's own"
	}
	if a.Is4() && a == last4(p) {
		return "broadcast"
	}
	return ""
}

// last4 is the last address of an IPv4 prefix.
func last4(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}
