package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// translations checks [[snat]] and [[dnat]]. An outside address is nobody's in
// the VRF, nor the gateway's; that both lists name one is usual.
func (c *checker) translations(f *file) {
	c.atMost("snat", len(f.SNAT), maxSNAT)
	c.atMost("dnat", len(f.DNAT), maxDNAT)
	for i := range f.SNAT {
		c.cfg.SNAT = append(c.cfg.SNAT, c.snat(i, &f.SNAT[i]))
	}
	for i := range f.DNAT {
		c.cfg.DNAT = append(c.cfg.DNAT, c.dnat(i, &f.DNAT[i]))
	}
}

func (c *checker) snat(i int, f *fileSNAT) SNAT {
	key := func(k string) string { return fmt.Sprintf("snat[%d].%s", i, k) }
	s := SNAT{VRF: c.vrfNamed(key("vrf"), f.VRF)}
	good := false
	if !c.set[key("from")] {
		c.wrong(key("from"), "add whose packets it is for, as 10.0.0.0/8", "a translation needs from")
	} else {
		s.From, good = c.prefix(key("from"), f.From)
	}
	s.To, s.Except = c.targets(key("to"), f.To, s.From), c.targets(key("except"), f.Except, s.From)
	if len(f.Pool) == 0 || len(f.Pool) > maxPool {
		c.wrong(key("pool"), fmt.Sprintf("name 1 to %d", maxPool), "there are %d addresses to leave from", len(f.Pool))
	}
	for n, text := range f.Pool {
		at := fmt.Sprintf("%s[%d]", key("pool"), n)
		a, is := c.addr(at, text)
		switch {
		case !is:
			continue
		case good && a.Is4() != s.From.Addr().Is4():
			c.wrong(at, "name one of the same family", "%s and %s are of two families", s.From, a)
		case slices.Contains(s.Pool, a):
			c.wrong(at, "take one away", "%s is there twice", a)
		}
		c.outsideOnly(at, s.VRF, a)
		s.Pool = append(s.Pool, a)
	}
	s.Least, s.Most = c.portRange(key("ports"), c.text(key("ports"), f.Ports))
	if good {
		c.reached(key("from"), &s)
	}
	return s
}

// reached notes a translation that no packet comes to, since one before it takes
// all of its packets.
func (c *checker) reached(key string, s *SNAT) {
	for i := range c.cfg.SNAT {
		o := &c.cfg.SNAT[i]
		inside := o.From.IsValid() && o.From.Bits() <= s.From.Bits() && o.From.Contains(s.From.Addr())
		toAll := len(o.To) == 0 || slices.Equal(o.To, s.To)
		if o.VRF == s.VRF && inside && toAll && len(o.Except) == 0 {
			c.wrong(key, "put it before that one, or take it away", "all its packets are those of snat[%d]", i)
			return
		}
	}
}

// vrfNamed reads the name of a VRF that some segment is in.
func (c *checker) vrfNamed(key, name string) string {
	vrf := c.text(key, name)
	if !slices.ContainsFunc(c.cfg.Segments, func(s Segment) bool { return s.VRF == vrf }) {
		c.wrong(key, "name that of a segment", "no segment is in VRF %s", short(vrf))
	}
	return vrf
}

// targets reads the prefixes that a translation is for, or not for.
func (c *checker) targets(key string, texts []string, from netip.Prefix) (out []netip.Prefix) {
	if len(texts) > maxTargets {
		c.wrong(key, fmt.Sprintf("at most %d", maxTargets), "there are %d prefixes", len(texts))
	}
	for i, text := range texts {
		at := fmt.Sprintf("%s[%d]", key, i)
		p, good := c.prefix(at, text)
		if good && from.IsValid() && p.Addr().Is4() != from.Addr().Is4() {
			c.wrong(at, "name one of the same family", "%s and %s are of two families", from, p)
		}
		out = append(out, p)
	}
	return out
}

// outsideOnly notes an outside address that is somebody's inside.
func (c *checker) outsideOnly(key, vrf string, a netip.Addr) {
	if who, taken := c.addrs[vrf+" "+a.String()]; taken {
		c.wrong(key, "name one that nobody has", "%s is also that of %s", a, who)
	}
}

// portRange reads two ports, as 1024-65535.
func (c *checker) portRange(key, text string) (least, most uint16) {
	low, high, found := strings.Cut(text, "-")
	a, errLow := strconv.ParseUint(low, 10, 16)
	b, errHigh := strconv.ParseUint(high, 10, 16)
	if !found || errLow != nil || errHigh != nil || a == 0 || a > b {
		c.wrong(key, "write the least and the greatest, as 1024-65535", "%s is no range of ports", short(text))
	}
	return uint16(a), uint16(b)
}

func (c *checker) dnat(i int, f *fileDNAT) DNAT {
	key := func(k string) string { return fmt.Sprintf("dnat[%d].%s", i, k) }
	d := DNAT{VRF: c.vrfNamed(key("vrf"), f.VRF), Protocol: c.word(key("protocol"), f.Protocol)}
	var outside, inside bool
	d.Outside, outside = c.end(key("outside"), f.Outside)
	d.Inside, inside = c.end(key("inside"), f.Inside)
	if outside {
		c.outsideOnly(key("outside"), d.VRF, d.Outside.Addr())
		c.publishedOnce(key("outside"), &d)
	}
	if outside && inside && d.Outside.Addr().Is4() != d.Inside.Addr().Is4() {
		c.wrong(key("inside"), "name one of the same family", "%s and %s are of two families", d.Outside, d.Inside)
	}
	return d
}

// end reads an address and a port, as 203.0.113.7:443.
func (c *checker) end(key, text string) (netip.AddrPort, bool) {
	at, err := netip.ParseAddrPort(text)
	switch {
	case !c.set[key]:
		c.wrong(key, "add an address and a port, as 203.0.113.7:443", "what is published is an outside end, at an inside end")
	case err != nil || at.Port() == 0:
		c.wrong(key, "write it as 203.0.113.7:443 or [2001:db8::7]:443", "%s is no address and port", short(text))
	default:
		return at, c.host(key, at.Addr().String(), at.Addr())
	}
	return at, false
}

// publishedOnce notes an outside end that is published already.
func (c *checker) publishedOnce(key string, d *DNAT) {
	for i, other := range c.cfg.DNAT {
		if other.VRF == d.VRF && other.Protocol == d.Protocol && other.Outside == d.Outside {
			c.wrong(key, "take one away", "%s/%s is that of dnat[%d], too", d.Protocol, d.Outside, i)
			return
		}
	}
}
