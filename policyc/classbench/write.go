package classbench

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
)

// Verdicts says what rules say, for the files do not.
type Verdicts string

// The verdicts there are.
const (
	Allow     Verdicts = "allow"
	Deny      Verdicts = "deny"
	Alternate Verdicts = "alternate" // the first allows, the next denies: then the order matters
)

func (v Verdicts) of(i int) string {
	switch {
	case v == Alternate && i%2 == 0:
		return string(Allow)
	case v == Alternate:
		return string(Deny)
	}
	return string(v)
}

// portedName are the protocols that have ports.
var portedName = map[uint16]string{6: "tcp", 17: "udp", 132: "sctp"}

// AnyPorts tells whether a rule takes every port at both ends.
func (r *Rule) AnyPorts() bool {
	return r.SrcLo == 0 && r.SrcHi == 65535 && r.DstLo == 0 && r.DstHi == 65535
}

// Ports says in a policy's terms what a rule's protocols and ports are, sorted.
//
// A rule can name ports of a protocol that has none. A packet of such a one is
// taken, as by all that read these files, for one whose ports are 0: so if both
// ranges begin at 0 the rule is for all of the protocol, else for nothing of it.
// No ports: no packet can match the rule.
func (r *Rule) Ports() []policy.Port {
	whole := policy.Port{SrcHi: 65535, DstHi: 65535}
	if r.Proto == policy.AnyProto && r.AnyPorts() {
		whole.Proto = policy.AnyProto
		return []policy.Port{whole}
	}
	var out []policy.Port
	for proto := range uint16(256) {
		if !r.Names(uint8(proto)) {
			continue
		}
		p := policy.Port{Proto: proto, SrcLo: r.SrcLo, SrcHi: r.SrcHi, DstLo: r.DstLo, DstHi: r.DstHi}
		if portedName[proto] == "" {
			if r.SrcLo > 0 || r.DstLo > 0 {
				continue
			}
			p.SrcLo, p.SrcHi, p.DstLo, p.DstHi = 0, 65535, 0, 65535
		}
		out = append(out, p)
	}
	return out
}

// clause is what a rule of a policy says of ports.
type clause struct{ ports, sources []string }

// clauses write ports as the language has them: those with source ports are a
// rule of their own, for source ports go with all that stand beside them.
func (r *Rule) clauses() []clause {
	var plain, sourced clause
	for _, p := range r.Ports() {
		word := policy.Port{Proto: p.Proto, DstLo: p.DstLo, DstHi: p.DstHi, SrcHi: 65535}.String()
		if p.SrcLo == 0 && p.SrcHi == 65535 {
			plain.ports = append(plain.ports, word)
			continue
		}
		sourced.ports = append(sourced.ports, word)
		sourced.sources = []string{between(p.SrcLo, p.SrcHi)}
	}
	return slices.DeleteFunc([]clause{plain, sourced}, func(c clause) bool { return len(c.ports) == 0 })
}

func between(lo, hi uint16) string {
	if lo == hi {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d-%d", lo, hi)
}

func (c *clause) String() string {
	text := fmt.Sprintf(`ports = ["%s"]`, strings.Join(c.ports, `", "`))
	if len(c.sources) > 0 {
		text += fmt.Sprintf(`, source_ports = ["%s"]`, strings.Join(c.sources, `", "`))
	}
	return text
}

// network is the name of a prefix's network.
func network(p netip.Prefix) string {
	return "n-" + strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(p.Addr().StringExpanded()+"/"+fmt.Sprint(p.Bits()))
}

// Write writes rules as a policy in canonical form: a network a prefix, a rule
// a line, whose number in the file, from 0, is its priority: so the first that
// matches decides. A line that names ports of protocols with and without may be
// two rules of one priority, which no packet meets both. One that no packet can
// match is a comment: that it was there.
func Write(w io.Writer, rules []Rule, verdicts Verdicts) error {
	b := bufio.NewWriterSize(w, 1<<16)
	fmt.Fprint(b, "version = 1\n")
	for _, p := range prefixes(rules) {
		fmt.Fprintf(b, "\n[networks.%s]\ncidrs = [%q]\n", network(p), p)
	}
	var nothing []int // lines
	for i := range rules {
		r := &rules[i]
		clauses := r.clauses()
		if len(clauses) == 0 {
			nothing = append(nothing, r.Line)
		}
		for j := range clauses {
			fmt.Fprintf(b, "\n[[rules]]\nname = \"line-%06d%s\"\npriority = %d\n%s = { from = [%q], to = [%q], %s }\n",
				r.Line, [...]string{"", "-ports"}[j], i, verdicts.of(i), network(r.Src), network(r.Dst), &clauses[j])
		}
	}
	for i, line := range nothing {
		if i == 0 {
			fmt.Fprint(b, "\n")
		}
		fmt.Fprintf(b, "# line %d: no packet matches it, for it names ports of protocols that have none\n", line)
	}
	return b.Flush()
}

// prefixes returns the prefixes of the rules that are written, each once.
func prefixes(rules []Rule) []netip.Prefix {
	known := map[netip.Prefix]bool{}
	var all []netip.Prefix
	for i := range rules {
		if len(rules[i].Ports()) == 0 {
			continue
		}
		for _, p := range [2]netip.Prefix{rules[i].Src, rules[i].Dst} {
			if !known[p] {
				known[p] = true
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, policy.ComparePrefix)
	return all
}
