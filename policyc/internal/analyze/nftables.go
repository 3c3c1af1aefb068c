package analyze

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/policyc/internal/check"
)

// Endpoint is who has an address.
type Endpoint struct {
	Name   string
	Labels map[string]string
	IPs    []netip.Addr
}

// Nftables writes a policy as a ruleset of nftables, for endpoints whose
// addresses are known: of each rule what it decides to allow, and everything
// else dropped. Which rule beats which has been settled by eval, so that the
// ruleset is right whatever the language has; where two rules allow the same,
// the one that eval names carries the counter.
//
// The kernel decides what is forwarded; an endpoint's identity is its address.
//
// Rules take AH over IPv6 for AH, but the kernel's tracking looks through it, at the
// connection inside: AH around a connection that is known would be established, whether
// AH is allowed or not. So what is in AH is tracked in a zone of its own.
func Nftables(p *check.Policy, endpoints []Endpoint) (string, error) {
	for _, r := range p.Rules {
		if r.Stateless && !r.Dormant {
			return "", fmt.Errorf("%s:%d: rule %s is stateless, and this ruleset tracks connections: it would let its replies pass; take stateless out, and the rule for the way back", r.At.File(), r.At.Line(), r.Name)
		}
	}
	n := &nft{s: withoutClasses(p), sets: map[string]string{}}
	if err := n.s.crowded(); err != nil {
		return "", err
	}
	for f := v4; f <= v6; f++ {
		n.family(f, endpoints)
	}
	var b strings.Builder
	b.WriteString("# Made by policyc: nft -f loads it. What no rule below accepts is dropped.\ntable inet bulkhead\ndelete table inet bulkhead\ntable inet bulkhead {\n")
	b.WriteString(n.defined.String())
	b.WriteString("\tchain apart { # what is in AH is no reply to what is not\n\t\ttype filter hook prerouting priority raw; policy accept;\n\t\tmeta nfproto ipv6 meta l4proto ah ct zone set 51\n\t}\n")
	b.WriteString("\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t\tct state established,related counter accept\n")
	b.WriteString(n.rules.String())
	b.WriteString("\t}\n}\n")
	return b.String(), nil
}

// withoutClasses is a space of rules and sets, without classes: who there is is known,
// so that who there might be, which may be too many, need not be.
func withoutClasses(p *check.Policy) *Space {
	s := &Space{policies: []*check.Policy{p}, cells: map[string]*cell{}}
	s.take(0, p, map[string]int32{})
	s.nameProtos(s.policies)
	for i := range s.rules {
		if s.rules[i].from.any {
			s.fromAny = append(s.fromAny, int32(i))
		}
		if s.rules[i].to.any {
			s.toAny = append(s.toAny, int32(i))
		}
	}
	return s
}

type nft struct {
	s              *Space
	sets           map[string]string // names, by elements
	defined, rules strings.Builder
}

// party is the addresses that meet the same rules.
type party struct {
	known
	ranges []addrRange
}

type addrRange struct{ lo, hi netip.Addr }

func (r addrRange) String() string {
	if r.lo == r.hi {
		return r.lo.String()
	}
	return r.lo.String() + "-" + r.hi.String()
}

// parties cuts a family's addresses where a network or an endpoint begins or
// ends, and joins those that meet the same rules.
func (n *nft) parties(f family, endpoints []Endpoint) []*party {
	holder := map[netip.Addr]*Endpoint{}
	first := netip.IPv4Unspecified()
	if f == v6 {
		first = netip.IPv6Unspecified()
	}
	starts := []netip.Addr{first}
	for i := range endpoints {
		for _, a := range endpoints[i].IPs {
			if familyOf(a) == f {
				holder[a] = &endpoints[i]
				starts = append(starts, a, a.Next())
			}
		}
	}
	for _, set := range n.s.sets {
		for _, p := range slices.Concat(set.Prefixes, set.Except) {
			if familyOf(p.Addr()) == f {
				starts = append(starts, p.Addr(), lastOf(p).Next())
			}
		}
	}
	starts = slices.DeleteFunc(starts, func(a netip.Addr) bool { return !a.IsValid() })
	slices.SortFunc(starts, netip.Addr.Compare)
	return n.join(slices.Compact(starts), holder)
}

func (n *nft) join(starts []netip.Addr, holder map[netip.Addr]*Endpoint) []*party {
	at := map[string]*party{}
	var out []*party
	for i, a := range starts {
		x := check.Subject{Addr: a}
		if e := holder[a]; e != nil {
			x.Labels = e.Labels
		}
		k := n.s.know(x)
		key := listKey(k.from) + "|" + listKey(k.to)
		if at[key] == nil {
			at[key] = &party{known: *k}
			out = append(out, at[key])
		}
		hi := lastOf(netip.PrefixFrom(a, 0))
		if i+1 < len(starts) {
			hi = starts[i+1].Prev()
		}
		at[key].add(addrRange{a, hi})
	}
	return out
}

// add adds a range behind the others, and joins it with one that it touches.
func (p *party) add(r addrRange) {
	if k := len(p.ranges); k > 0 && p.ranges[k-1].hi.Next() == r.lo {
		p.ranges[k-1].hi = r.hi
		return
	}
	p.ranges = append(p.ranges, r)
}

// family writes what is allowed in one family, by rule.
func (n *nft) family(f family, endpoints []Endpoint) {
	list := n.parties(f, endpoints)
	exists := func(int, int) families { return 1 << f }
	by := &byRule{rules: map[*check.Rule]*gather{}}
	for i, from := range list {
		for j, to := range list {
			n.s.allowed(n.s.cellOf(&from.known, &to.known), Question{}, func(p Span, r *check.Rule) {
				by.of(r, func() *gather { return &gather{columns: len(list), exists: exists} }).add(i, j, p)
			})
		}
	}
	for _, r := range by.sorted() {
		for _, x := range by.rules[r].strata() {
			n.stratum(f, list, r, x)
		}
	}
}

// stratum writes a line for the sources that have the same destinations, and
// each form of their ports.
func (n *nft) stratum(f family, list []*party, r *check.Rule, x stratum) {
	sources := map[string]bitset{}
	for from, to := range x.pairs {
		key := to.key()
		if sources[key] == nil {
			sources[key] = newBits(len(list))
		}
		sources[key].add(from)
	}
	lines := []string{}
	for _, key := range slices.Sorted(maps.Keys(sources)) { // sets are numbered as they come
		from, i := sources[key], -1
		from.each(func(k int) { i = k })
		for _, ports := range n.ports(f, x.spans) {
			line := n.side(f, list, "saddr", from) + n.side(f, list, "daddr", x.pairs[i]) + ports
			if !strings.Contains(line, "addr @") {
				line = fmt.Sprintf("meta nfproto %s %s", [...]string{"ipv4", "ipv6"}[f], line)
			}
			lines = append(lines, fmt.Sprintf("\t\t%scounter accept comment %s\n", line, comment(name(r))))
		}
	}
	slices.Sort(lines)
	n.rules.WriteString(strings.Join(lines, ""))
}

// side matches one end; everybody needs no match.
func (n *nft) side(f family, list []*party, word string, members bitset) string {
	if members.count() == len(list) {
		return ""
	}
	var ranges []addrRange
	members.each(func(i int) { ranges = append(ranges, list[i].ranges...) })
	return fmt.Sprintf("%s %s @%s ", [...]string{"ip", "ip6"}[f], word, n.set(f, ranges))
}

// set is the name of a set with these elements.
func (n *nft) set(f family, ranges []addrRange) string {
	slices.SortFunc(ranges, func(a, b addrRange) int { return a.lo.Compare(b.lo) })
	all := party{}
	for _, r := range ranges {
		all.add(r)
	}
	var words []string
	for _, r := range all.ranges {
		words = append(words, r.String())
	}
	elements := strings.Join(words, ", ")
	if name, known := n.sets[elements]; known {
		return name
	}
	kind := [...]string{"ipv4_addr", "ipv6_addr"}[f]
	name := fmt.Sprintf("s%d", len(n.sets)+1)
	n.sets[elements] = name
	fmt.Fprintf(&n.defined, "\tset %s {\n\t\ttype %s; flags interval;\n\t\telements = { %s }\n\t}\n", name, kind, elements)
	return name
}

// ports writes spans as matches, one a line: all protocols, whole ones, ranges.
func (n *nft) ports(f family, spans []Span) []string {
	spans = join(spans)
	if n.s.all(spans, 1<<f) {
		return []string{""}
	}
	var out, protos []string
	ranges := map[Span][]string{} // by protocol and source ports
	for _, p := range spans {
		switch {
		case p.Proto == rest:
			out = append(out, n.others())
		case p == whole(p.Proto):
			protos = append(protos, fmt.Sprint(p.Proto))
		case p.Proto == icmp4 || p.Proto == icmp6:
			out = append(out, icmpMatches(p)...)
		default:
			of := Span{Proto: p.Proto, SrcLo: p.SrcLo, SrcHi: p.SrcHi}
			ranges[of] = append(ranges[of], portRange(p))
		}
	}
	if len(protos) > 0 {
		out = append(out, fmt.Sprintf("meta l4proto { %s } ", strings.Join(protos, ", ")))
	}
	for _, of := range slices.SortedFunc(maps.Keys(ranges), compareSpan) {
		sources := ""
		if !of.allSources() {
			sources = fmt.Sprintf("%s sport %s ", withPorts(of.Proto), portRange(Span{Lo: of.SrcLo, Hi: of.SrcHi}))
		}
		out = append(out, fmt.Sprintf("%s%s dport { %s } ", sources, withPorts(of.Proto), strings.Join(ranges[of], ", ")))
	}
	return out
}

// others matches the protocols that no rule names.
func (n *nft) others() string {
	var named []string
	for _, proto := range n.s.protos {
		if proto != rest {
			named = append(named, fmt.Sprint(proto))
		}
	}
	return fmt.Sprintf("meta l4proto != { %s } ", strings.Join(named, ", "))
}

// withPorts is nft's word for a protocol whose ports are matched.
func withPorts(proto uint16) string {
	switch proto {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 132:
		return "sctp"
	}
	return fmt.Sprintf("meta l4proto %d th", proto)
}

func portRange(p Span) string {
	if p.Lo == p.Hi {
		return fmt.Sprint(p.Lo)
	}
	return fmt.Sprintf("%d-%d", p.Lo, p.Hi)
}

// icmpMatches matches types and codes: whole types together, others by code.
func icmpMatches(p Span) []string {
	word := "icmp"
	if p.Proto == icmp6 {
		word = "icmpv6"
	}
	var out []string
	for lo := int(p.Lo); lo <= int(p.Hi); {
		hi := min(int(p.Hi), lo|255)
		if lo&255 == 0 && hi&255 == 255 {
			for hi+256 <= int(p.Hi) {
				hi += 256
			}
			out = append(out, fmt.Sprintf("%s type %s ", word, portRange(Span{Lo: uint16(lo >> 8), Hi: uint16(hi >> 8)})))
		} else {
			out = append(out, fmt.Sprintf("%s type %d %s code %s ", word, lo>>8, word, portRange(Span{Lo: uint16(lo & 255), Hi: uint16(hi & 255)})))
		}
		lo = hi + 1
	}
	return out
}

// comment writes a name as nft's comment: at most 127 bytes, and no quote, for
// which nft has no notation.
func comment(name string) string {
	if name == "" {
		name = "default"
	}
	name = strings.NewReplacer(`"`, "'", `\`, "/").Replace(name)
	for len(name) > 120 {
		runes := []rune(name)
		name = string(runes[:len(runes)-1])
	}
	return `"` + name + `"`
}
