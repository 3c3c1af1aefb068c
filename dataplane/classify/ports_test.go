package classify

import (
	"testing"

	"bulkhead/dataplane/policy"
)

// A range of ports of any protocol is 256 ports, of which those that no other
// rule tells apart are one: linking does the work once, and each header has the
// rules it had.
func TestPortsOfAnyProtocolAreFolded(t *testing.T) {
	var every []policy.Port
	for proto := range 256 {
		every = append(every, policy.Port{Proto: uint16(proto), SrcHi: 65535, DstLo: 80, DstHi: 90})
	}
	rs := &policy.Ruleset{Rules: []policy.Rule{
		{Ports: []policy.Port{{Proto: 6, SrcHi: 65535, DstLo: 85, DstHi: 95}, {Proto: 17, SrcHi: 65535, DstLo: 85, DstHi: 95}}},
		{Ports: every},
		{Ports: []policy.Port{{Proto: 17, SrcHi: 65535, DstLo: 1, DstHi: 2}}},
		{Ports: []policy.Port{{Proto: policy.AnyProto, SrcHi: 65535, DstHi: 65535}}},
	}}
	l, err := buildPorts(rs)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(l.lists[l.of[1]]), 3; got != want { // tcp, udp, all others
		t.Errorf("%d ports of any protocol are left, want %d", got, want)
	}
	for proto := range 256 {
		for _, port := range []uint16{0, 1, 2, 3, 79, 80, 84, 85, 90, 91, 95, 96, 65535} {
			class := l.table.class(uint8(proto), 1, port)
			for i := range rs.Rules {
				want := false
				for _, p := range rs.Rules[i].Ports {
					want = want || p.Matches(uint8(proto), 1, port)
				}
				got := false
				for _, r := range l.runs[l.of[i]] {
					got = got || r.lo <= class && class < r.hi
				}
				if got != want {
					t.Fatalf("rule %d, protocol %d, port %d: %v, want %v", i, proto, port, got, want)
				}
			}
		}
	}
}
