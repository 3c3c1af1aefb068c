package check

import (
	"fmt"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/source"
)

// A rule can say from which ports a connection comes. Ports and source ports
// are a product: each of the one goes with each of the other. So it is written
// out here, and all that reads a rule finds ranges of both in its ports.
//
// The ranges of source ports are joined before they are multiplied, so that
// however they are cut the rule is the same.

// MaxSources bounds the ranges of source ports that a policy has: each question
// about a port is asked of every stretch that they cut.
const MaxSources = 256

// maxProduct bounds the ports of a rule, written out: a line of text could stand
// for a thousand million of them.
const maxProduct = 1 << 16

const sourceCure = `a number from 0 to 65535, or a range of them, as "53" or "1024-65535"`

// sources gives each port of a rule, those by name among them, the source ports
// that the rule states.
func (c *checker) sources(rule *Rule, clause *source.Clause, ports []policy.Port) []policy.Port {
	if !clause.Sources.Set {
		return ports
	}
	if len(clause.Sources.Items) == 0 && !clause.Sources.Bad {
		c.list.Errorf(clause.Sources.At, "no source ports: the rule matches nothing").With("source_ports = [\"1024-65535\"], or take it out")
	}
	var ranges []policy.Port
	for _, text := range clause.Sources.Items {
		one, err := ParseSource(text.Value)
		if err != nil {
			c.list.Errorf(text.At, "%s", err.Text).With("%s", err.Cure)
			continue
		}
		ranges = append(ranges, one)
	}
	ranges = joinSources(ranges)
	c.noteSources(clause.Sources.At, ranges)
	if !c.haveSources(clause.Sources.At, ports) || c.tooMany(rule, clause.Sources.At, len(ports), len(ranges)) {
		return nil
	}
	for i := range rule.Named {
		n := &rule.Named[i]
		if !c.haveSources(clause.Sources.At, n.Ports) || c.tooMany(rule, clause.Sources.At, len(n.Ports), len(ranges)) {
			return nil
		}
		n.Ports = product(n.Ports, ranges)
	}
	return product(ports, ranges)
}

// noteSources counts the ranges of the policy, each once.
func (c *checker) noteSources(at diag.Span, ranges []policy.Port) {
	for _, p := range ranges {
		before := len(c.ranges)
		c.ranges[[2]uint16{p.SrcLo, p.SrcHi}] = true
		if before == MaxSources && len(c.ranges) > before {
			c.list.Errorf(at, "the policy has more than %d different ranges of source ports", MaxSources).With("use ranges that are alike, as \"1024-65535\"")
		}
	}
}

// haveSources reports a port of a protocol that has no source ports.
func (c *checker) haveSources(at diag.Span, ports []policy.Port) bool {
	i := slices.IndexFunc(ports, func(p policy.Port) bool { return !hasSource(p.Proto) })
	if i >= 0 {
		c.list.Errorf(at, "%s", noSource(ports[i])).With("%s", noSourceCure(ports[i]))
	}
	return i < 0
}

func noSource(p policy.Port) string {
	if p.Proto == policy.AnyProto {
		return "any is every protocol, and not all have source ports"
	}
	return fmt.Sprintf("%s has no source ports", p)
}

func noSourceCure(p policy.Port) string {
	if p.Proto == policy.AnyProto {
		return `with source ports go "tcp", "udp" and "sctp": name those that are meant`
	}
	return "only tcp, udp and sctp have: make a rule of its own for it, without source_ports"
}

func hasSource(proto uint16) bool { return proto == 6 || proto == 17 || proto == 132 }

func (c *checker) tooMany(rule *Rule, at diag.Span, ports, ranges int) bool {
	if ports*ranges <= maxProduct {
		return false
	}
	c.list.Errorf(at, "rule %q has %d ports and %d ranges of source ports: together that is more than %d", rule.Name, ports, ranges, maxProduct).
		With("write ranges, as \"1024-65535\", or make several rules")
	return true
}

// product is each port with each range of source ports.
func product(ports, ranges []policy.Port) []policy.Port {
	out := make([]policy.Port, 0, len(ports)*len(ranges))
	for _, p := range ports {
		for _, q := range ranges {
			p.SrcLo, p.SrcHi = q.SrcLo, q.SrcHi
			out = append(out, p)
		}
	}
	return out
}

// joinSources joins ranges of source ports that overlap or touch.
func joinSources(ranges []policy.Port) []policy.Port {
	slices.SortFunc(ranges, policy.ComparePort)
	var out []policy.Port
	for _, p := range ranges {
		if n := len(out); n > 0 && int(p.SrcLo) <= int(out[n-1].SrcHi)+1 {
			out[n-1].SrcHi = max(out[n-1].SrcHi, p.SrcHi)
			continue
		}
		out = append(out, p)
	}
	return out
}

// ParseSource reads a source port, "53", or a range of them, "1024-65535". What
// it returns has nothing but the range.
func ParseSource(text string) (policy.Port, *Problem) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	lo, err := portNumber(low)
	hi, err2 := portNumber(high)
	switch {
	case err != nil || err2 != nil:
		return policy.Port{}, &Problem{Text: fmt.Sprintf("%q is no source port", text), Cure: sourceCure}
	case lo > hi:
		return policy.Port{}, &Problem{Text: fmt.Sprintf("%q runs backwards", text), Cure: fmt.Sprintf("write %d-%d", hi, lo)}
	}
	return policy.Port{SrcLo: lo, SrcHi: hi}, nil
}

// From is the ports of a question, asked of a source port, or a range of them.
func From(ports []policy.Port, text string) ([]policy.Port, *Problem) {
	one, problem := ParseSource(text)
	if problem != nil {
		return nil, problem
	}
	for _, p := range ports {
		if !hasSource(p.Proto) {
			return nil, &Problem{Text: noSource(p), Cure: `ask on tcp, udp or sctp, as "tcp/443"`}
		}
	}
	return product(ports, []policy.Port{one}), nil
}
