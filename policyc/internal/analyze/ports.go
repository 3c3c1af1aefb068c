package analyze

import (
	"cmp"
	"fmt"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// compareSpan orders spans by protocol, port and source port.
func compareSpan(a, b Span) int {
	return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi),
		cmp.Compare(a.SrcLo, b.SrcLo), cmp.Compare(a.SrcHi, b.SrcHi))
}

// portWords writes spans as the language writes ports; m are the families that
// they can be of, so that all of one family is "any" as well.
func (s *Space) portWords(spans []Span, m families) []string {
	spans = join(spans)
	if s.all(spans, m) {
		return []string{"any"}
	}
	var out []string
	for _, word := range alike {
		ports, _ := check.ParsePorts(word)
		pair := []Span{spanOf(ports[0]), spanOf(ports[1])}
		if slices.Contains(spans, pair[0]) && slices.Contains(spans, pair[1]) {
			out = append(out, word)
			spans = slices.DeleteFunc(spans, func(p Span) bool { return slices.Contains(pair, p) })
		}
	}
	for _, p := range spans {
		out = append(out, spanWords(p)...)
	}
	return out
}

// alike are the words that mean something in both families.
var alike = []string{"icmp", "icmp/echo", "icmp/echo-reply", "icmp/unreachable", "icmp/time-exceeded", "icmp/parameter", "icmp/too-big"}

func spanOf(p policy.Port) Span { return Span{p.Proto, p.DstLo, p.DstHi, p.SrcLo, p.SrcHi} }

// all tells whether every port of every protocol is there.
func (s *Space) all(spans []Span, m families) bool {
	for _, proto := range s.protos {
		if whole(proto).families()&m != 0 && !slices.Contains(spans, whole(proto)) {
			return false
		}
	}
	return len(spans) > 0
}

func whole(proto uint16) Span { return Span{proto, 0, 65535, 0, 65535} }

// spanWords writes one span: ICMP's by type, whole types as one word each.
func spanWords(p Span) []string {
	switch {
	case p.Proto == rest:
		return []string{"other protocols"}
	case (p.Proto == icmp4 || p.Proto == icmp6) && p != whole(p.Proto):
		return icmpWords(p)
	}
	return []string{policy.Port{Proto: p.Proto, DstLo: p.Lo, DstHi: p.Hi, SrcLo: p.SrcLo, SrcHi: p.SrcHi}.String()}
}

// icmpWords cuts a span of types and codes where one type ends.
func icmpWords(p Span) []string {
	name := "icmp4"
	if p.Proto == icmp6 {
		name = "icmp6"
	}
	var out []string
	for lo := int(p.Lo); lo <= int(p.Hi); {
		hi := min(int(p.Hi), lo|255)
		switch {
		case lo&255 == 0 && hi&255 == 255:
			for hi+256 <= int(p.Hi) {
				hi += 256
			}
			if lo>>8 == hi>>8 {
				out = append(out, fmt.Sprintf("%s/%d", name, lo>>8))
			} else {
				out = append(out, fmt.Sprintf("%s/%d to %d", name, lo>>8, hi>>8))
			}
		case lo == hi:
			out = append(out, fmt.Sprintf("%s/%d/%d", name, lo>>8, lo&255))
		default:
			out = append(out, fmt.Sprintf("%s/%d/%d to %d", name, lo>>8, lo&255, hi&255))
		}
		lo = hi + 1
	}
	return out
}
