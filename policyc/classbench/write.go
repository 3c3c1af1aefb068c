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

// Cannot says why a rule cannot be said in the language of policies; "" if it
// can.
func (r *Rule) Cannot() string {
	full := r.DstLo == 0 && r.DstHi == 65535
	switch {
	case r.Mask != 0:
		return fmt.Sprintf("every protocol that is %d in the bits 0x%02x: a policy names each by itself", r.Proto, r.Mask)
	case r.SrcLo != 0 || r.SrcHi != 65535:
		return fmt.Sprintf("source ports %d to %d: a policy names the ports that are connected to", r.SrcLo, r.SrcHi)
	case !full && r.Proto != policy.AnyProto && portedName[r.Proto] == "":
		return fmt.Sprintf("ports of protocol %d, which has none", r.Proto)
	}
	return ""
}

// portedName are the protocols that have ports.
var portedName = map[uint16]string{6: "tcp", 17: "udp", 132: "sctp"}

// words returns a rule's ports as the language has them. Ports of any protocol
// are those of each that has ports.
func (r *Rule) words() []string {
	full := r.DstLo == 0 && r.DstHi == 65535
	name := portedName[r.Proto]
	switch {
	case r.Proto == policy.AnyProto && full:
		return []string{"any"}
	case r.Proto == policy.AnyProto:
		return []string{r.ranged("tcp"), r.ranged("udp"), r.ranged("sctp")}
	case r.Proto == 1 && r.Src.Addr().Is4():
		return []string{"icmp4"}
	case r.Proto == 58:
		return []string{"icmp6"}
	case name == "":
		return []string{fmt.Sprintf("ip/%d", r.Proto)}
	case full:
		return []string{name}
	}
	return []string{r.ranged(name)}
}

func (r *Rule) ranged(proto string) string {
	if r.DstLo == r.DstHi {
		return fmt.Sprintf("%s/%d", proto, r.DstLo)
	}
	return fmt.Sprintf("%s/%d-%d", proto, r.DstLo, r.DstHi)
}

// network is the name of a prefix's network.
func network(p netip.Prefix) string {
	return "n-" + strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(p.Addr().StringExpanded()+"/"+fmt.Sprint(p.Bits()))
}

// Write writes rules as a policy in canonical form: a network a prefix, a rule
// a line, whose number in the file, from 0, is its priority: so the first that
// matches decides. Rules that cannot be said are left out.
func Write(w io.Writer, rules []Rule, verdicts Verdicts) error {
	b := bufio.NewWriterSize(w, 1<<16)
	fmt.Fprint(b, "version = 1\n")
	for _, p := range prefixes(rules) {
		fmt.Fprintf(b, "\n[networks.%s]\ncidrs = [%q]\n", network(p), p)
	}
	for i := range rules {
		r := &rules[i]
		if r.Cannot() != "" {
			continue
		}
		fmt.Fprintf(b, "\n[[rules]]\nname = \"line-%06d\"\npriority = %d\n%s = { from = [%q], to = [%q], ports = [\"%s\"] }\n",
			r.Line, i, verdicts.of(i), network(r.Src), network(r.Dst), strings.Join(r.words(), `", "`))
	}
	return b.Flush()
}

// prefixes returns the prefixes of the rules that are written, each once.
func prefixes(rules []Rule) []netip.Prefix {
	known := map[netip.Prefix]bool{}
	var all []netip.Prefix
	for i := range rules {
		if rules[i].Cannot() != "" {
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
