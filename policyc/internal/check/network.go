package check

import (
	"net/netip"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/source"
)

// network checks a network: blocks of addresses, and what is excepted of them.
func (c *checker) network(n *source.Network) {
	out := &Network{Name: c.qualified(n.Name.Value), At: n.Name.At}
	if len(n.CIDRs.Items) == 0 && !n.CIDRs.Bad {
		c.list.Errorf(n.Name.At, "network %q has no cidrs, so it selects nothing", n.Name.Value).With("cidrs = [\"192.0.2.0/24\"]")
	}
	whole := !n.CIDRs.Bad
	for _, text := range n.CIDRs.Items {
		p, fine := c.prefix(text)
		if fine {
			out.Prefixes = append(out.Prefixes, p)
		}
		whole = whole && fine
	}
	for _, text := range n.Except.Items {
		p, fine := c.prefix(text)
		if !fine {
			continue
		}
		inside := slices.ContainsFunc(out.Prefixes, func(q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) })
		if !inside && whole {
			c.list.Errorf(text.At, "%s lies in none of the network's cidrs, so it takes nothing away", p).With("take it out, or add the block around it to cidrs")
			continue
		}
		if slices.Contains(out.Prefixes, p) {
			c.list.Warnf(text.At, "%s is in cidrs and in except: the exception wins", p)
		}
		out.Except = append(out.Except, p)
	}
	out.Prefixes, out.Except = prefixSet(out.Prefixes), prefixSet(out.Except)
	c.p.Networks = append(c.p.Networks, out)
	c.define(n.Name, Set{Network: out})
}

func prefixSet(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, policy.ComparePrefix)
	return slices.Compact(list)
}

// prefix reads a prefix; an address alone is not one, so that nobody forgets
// the length of a block.
func (c *checker) prefix(t source.Text) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(t.Value)
	if err != nil {
		d := c.list.Errorf(t.At, "%q is no prefix", t.Value)
		if a, err := netip.ParseAddr(t.Value); err == nil && a.Zone() == "" {
			d.With("for the one address write %q", netip.PrefixFrom(a, a.BitLen()).String())
		} else {
			d.With("write it as \"192.0.2.0/24\" or \"2001:db8::/32\"")
		}
		return p, false
	}
	if p.Addr().Is4In6() {
		c.list.Errorf(t.At, "%q is IPv4 written as IPv6", t.Value).With("write it as IPv4")
		return p, false
	}
	if p != p.Masked() {
		c.list.Errorf(t.At, "%q has bits behind its length", t.Value).With("write %q, or a longer length", p.Masked().String())
		return p, false
	}
	return p, true
}
