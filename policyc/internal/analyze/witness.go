package analyze

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

// Packet is a witness: one connection, which eval can be asked about.
type Packet struct {
	From, To check.Subject
	Flow     eval.Flow
	Source   bool // the packet is one of its source port, and not of any
}

// Port writes the packet's port as the language does.
func (p Packet) Port() string {
	port := policy.Port{Proto: uint16(p.Flow.Proto), SrcHi: 65535, DstLo: p.Flow.Dst, DstHi: p.portEnd()}
	if p.Source {
		port.SrcLo, port.SrcHi = p.Flow.Src, p.Flow.Src
	}
	return port.String()
}

// portEnd is the port's own, or the last of a protocol that has no ports.
func (p Packet) portEnd() uint16 {
	switch p.Flow.Proto {
	case icmp4, icmp6, 6, 17, 132:
		return p.Flow.Dst
	}
	return 65535
}

// String writes the packet in a line.
func (p Packet) String() string {
	return fmt.Sprintf("%s -> %s %s", p.From.Text, p.To.Text, p.Port())
}

// packet is the least corner of a pair's span; false if no packet is there: the
// two ends and the protocol share no family.
func (s *Space) packet(from, to int, p Span) (Packet, bool) {
	m := s.classes[from].families & s.classes[to].families & p.families()
	if m == 0 {
		return Packet{}, false
	}
	source := s.subject(from, m)
	return Packet{source, s.peer(to, m, source), s.flow(p), !p.allSources()}, true
}

// describe writes a subject: its labels, and its address where that matters. A host
// is called so, first of all, and not by the label that the switch knows it by; the
// words before the address are a question's, as in --from host,rack=a.
func describe(s check.Subject, address bool) string {
	switch {
	case s.Labels == nil:
		return s.Addr.String()
	case len(s.Labels) == 0:
		return "no labels at " + s.Addr.String()
	}
	var out []string
	if _, host := s.Labels[policy.HostLabel]; host {
		out = append(out, check.Host.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		if key != policy.HostLabel {
			out = append(out, key+"="+s.Labels[key])
		}
	}
	text := strings.Join(out, ",")
	if address {
		text += " at " + s.Addr.String()
	}
	return text
}
