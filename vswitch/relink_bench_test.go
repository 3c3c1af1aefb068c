package vswitch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/control/api"
)

// The sizes of a bench town: ten addresses an endpoint.
var townSizes = []struct{ services, rules, endpoints int }{{100, 1_000, 1_000}, {1_000, 10_000, 10_000}, {10_000, 100_000, 100_000}}

// rulesOf makes a policy of services by one label each, and rules between two of
// them.
func rulesOf(r *rand.Rand, services, rules int) *policy.Ruleset {
	rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}
	for i := range services {
		rs.Sets = append(rs.Sets, policy.Set{Kind: policy.KindService, Name: fmt.Sprintf("s%05d", i),
			Selector: policy.Selector{{{Key: fmt.Sprint("s", i), Op: policy.OpExists}}}})
	}
	for i := range rules {
		rs.Rules = append(rs.Rules, policy.Rule{Name: fmt.Sprint("r", i), Verdict: policy.Allow,
			From: []policy.SetID{policy.SetID(1 + r.IntN(services))}, To: []policy.SetID{policy.SetID(1 + r.IntN(services))},
			Ports: []policy.Port{{Proto: packet.ProtoTCP, SrcHi: 65535, DstLo: uint16(i), DstHi: uint16(i)}}})
	}
	return rs
}

// bigTown is a switch with so much in force, by the ways that it is put there.
func bigTown(b *testing.B, services, rules, endpoints int) *lab {
	r := rand.New(rand.NewPCG(1, 2))
	l := started(b, "[[segments]]\nname = \"s\"\ngateways = [\"10.0.0.1/8\"]\n[[ports]]\nname = \"a\"\nsegment = \"s\"\n[[ports]]\nname = \"b\"\nsegment = \"s\"\n")
	crowd := roster{}
	for i := range endpoints {
		e := endpoint{Name: fmt.Sprint("e", i), Segment: "s", Port: "a", MAC: packet.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)},
			Labels: map[string]string{fmt.Sprint("s", r.IntN(services)): ""}, FromAPI: true}
		for j := range 10 {
			n := 16 + i*10 + j
			e.IPs = append(e.IPs, netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
		}
		crowd[e.Name] = e
	}
	l.sw.mu.Lock()
	defer l.sw.mu.Unlock()
	if err := l.sw.relink(crowd, rulesOf(r, services, rules)); err != nil {
		b.Fatal(err)
	}
	l.sw.local = maps.Clone(crowd) // as the API would have stated them
	return l
}

// BenchmarkChange is a change from the call of the API until every worker goes
// by it: how=one as it is made, how=whole by linking everything. An unseen
// endpoint is of three services that nobody was in together.
func BenchmarkChange(b *testing.B) {
	for _, s := range townSizes {
		l := bigTown(b, s.services, s.rules, s.endpoints)
		r := rand.New(rand.NewPCG(3, 4))
		add := func() api.EndpointChange {
			labels := map[string]string{}
			for range 3 {
				labels[fmt.Sprint("s", r.IntN(s.services))] = ""
			}
			return api.EndpointChange{Op: "add", Name: "new", Port: "b", MAC: "02:ff:00:00:00:01", IPs: []string{"10.255.0.1"}, Labels: labels}
		}
		move := func() api.EndpointChange {
			return api.EndpointChange{Op: "move", Name: fmt.Sprint("e", r.IntN(s.endpoints)), Port: []string{"a", "b"}[r.IntN(2)]}
		}
		for what, draw := range map[string]func() api.EndpointChange{"unseen": add, "move": move} {
			size := fmt.Sprintf("what=%s/rules=%d", what, s.rules)
			b.Run("how=one/"+size, func(b *testing.B) { l.benchChange(b, draw, false) })
			b.Run("how=whole/"+size, func(b *testing.B) { l.benchChange(b, draw, true) })
		}
		b.Run(fmt.Sprintf("how=whole/what=rule/rules=%d", s.rules), func(b *testing.B) {
			for b.Loop() {
				rs := *l.sw.rules
				rs.Rules = slices.Clone(rs.Rules)
				rs.Rules[r.IntN(len(rs.Rules))].Ports = []policy.Port{{Proto: packet.ProtoUDP, SrcHi: 65535, DstLo: 53, DstHi: 53}}
				l.sw.mu.Lock()
				err := l.sw.relink(l.sw.roster, &rs)
				l.sw.mu.Unlock()
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchChange times changes; what is added goes again, outside of the time.
func (l *lab) benchChange(b *testing.B, draw func() api.EndpointChange, whole bool) {
	var took []time.Duration
	for b.Loop() {
		c := draw()
		l.sw.mu.Lock()
		l.sw.linked.broken = whole
		l.sw.mu.Unlock()
		begun := time.Now()
		if _, err := l.endpoint(c); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
		if c.Op == api.EndpointAdd {
			b.StopTimer()
			if _, err := l.endpoint(api.EndpointChange{Op: "del", Name: c.Name}); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(0, "ns/op") // del is in it, in part
}
