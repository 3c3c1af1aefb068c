package check

import (
	"net/netip"

	"bulkhead/dataplane/policy"
)

// bound reports networks that rules name and that come to more prefixes than a switch
// has room for. It would refuse the table; here it is known which network is too much.
func (c *checker) bound() {
	all := 0
	for _, n := range c.p.Networks {
		all += len(n.Prefixes) + len(n.Except)
	}
	if all <= policy.MaxPrefixes {
		return // nearly always: nothing is to be counted
	}
	named := c.p.namedNetworks()
	known := make(map[netip.Prefix]bool, policy.MaxPrefixes)
	for _, n := range c.p.Networks {
		if !named[n] {
			continue // it is not in the table
		}
		for _, list := range [2][]netip.Prefix{n.Prefixes, n.Except} {
			for _, p := range list {
				known[p] = true
			}
		}
		if len(known) > policy.MaxPrefixes {
			c.list.Errorf(n.At, "with network %q rules name more than %d different prefixes, which is what a switch has room for", n.Name, policy.MaxPrefixes).
				With("name larger blocks in cidrs, or fewer networks in rules")
			return
		}
	}
}

// namedNetworks are those that a rule names.
func (p *Policy) namedNetworks() map[*Network]bool {
	named := map[*Network]bool{}
	for _, r := range p.Rules {
		for _, side := range [2][]Set{r.From, r.To} {
			for _, s := range side {
				if s.Network != nil {
					named[s.Network] = true
				}
			}
		}
	}
	return named
}
