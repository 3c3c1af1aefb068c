package worlds

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

// sourceWords have edges that meet, and the ends of the range.
var sourceWords = []string{"0", "65535", "53", "1024-65535", "50-60", "55-1023", "1024", "2000-3000"}

var portsOf = regexp.MustCompile(`ports = \[([^]]*)\]`)

// sourced gives a rule source ports, every fourth time that it can have them.
func sourced(r *rand.Rand, s Statement) Statement {
	ports := portsOf.FindStringSubmatch(s.Text)
	if ports == nil || r.IntN(4) != 0 {
		return s
	}
	for _, word := range strings.Split(strings.ReplaceAll(ports[1], `"`, ""), ", ") {
		if name, _, _ := strings.Cut(word, "/"); name != "tcp" && name != "udp" && name != "sctp" {
			return s
		}
	}
	s.Text = strings.Replace(s.Text, ports[0], ports[0]+", source_ports = ["+quoted(some(r, sourceWords))+"]", 1)
	return s
}

// Sources are the edges of every range of source ports that the rules have, and
// the ports beside them; and ports that nothing may name. Each is there once.
func Sources(p *check.Policy) []uint16 {
	out := []uint16{0, 1, 1023, 1024, 40000, 65535}
	for _, rule := range p.Rules {
		for _, q := range rule.AllPorts() {
			out = append(out, q.SrcLo-1, q.SrcLo, q.SrcHi, q.SrcHi+1) // 0 - 1 and 65535 + 1 are each other
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// From is a flow from a source port, if its protocol has any.
func From(f eval.Flow, src uint16) eval.Flow {
	if f.Proto == 6 || f.Proto == 17 || f.Proto == 132 {
		f.Src = src
	}
	return f
}

// FromOf draws a source port of a rule's port: an edge, or beside one.
func FromOf(r *rand.Rand, q policy.Port) uint16 {
	return []uint16{q.SrcLo - 1, q.SrcLo, q.SrcHi, q.SrcHi + 1}[r.IntN(4)]
}
