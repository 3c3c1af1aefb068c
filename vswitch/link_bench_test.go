package vswitch

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// A district is what one host may be given to link: services by two labels, networks
// outside, rules between them on a few ports each, and endpoints with labels that
// no rule knows, too, as a scheduler gives them.
type district struct{ services, networks, rules, endpoints, addresses int }

// districts have a million addresses each: of 100,000 endpoints, and of a million.
var districts = []district{
	{services: 10_000, networks: 1_000, rules: 100_000, endpoints: 100_000, addresses: 10},
	{services: 10_000, networks: 1_000, rules: 100_000, endpoints: 1_000_000, addresses: 1},
}

func (w district) String() string {
	return fmt.Sprintf("services=%d/networks=%d/rules=%d/endpoints=%d/addresses=%d", w.services, w.networks, w.rules, w.endpoints, w.endpoints*w.addresses)
}

// artifact is the compiled policy of a district.
func (w district) artifact(tb testing.TB) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}
	for i := range w.services {
		app := policy.Requirement{Key: "app", Op: policy.OpIn, Values: []string{fmt.Sprint("app", i/4)}}
		part := policy.Requirement{Key: "part", Op: policy.OpIn, Values: []string{fmt.Sprint("part", i%4)}}
		rs.Sets = append(rs.Sets, policy.Set{Kind: policy.KindService, Name: fmt.Sprintf("s%06d", i), Selector: policy.Selector{{app, part}}})
	}
	for i := range w.networks {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16 + byte(i>>8), byte(i), 0}), 24)
		rs.Sets = append(rs.Sets, policy.Set{Kind: policy.KindNetwork, Name: fmt.Sprintf("n%06d", i), Prefixes: []netip.Prefix{prefix}})
	}
	side := func() []policy.SetID {
		if r.IntN(20) == 0 {
			return []policy.SetID{policy.SetID(1 + w.services + r.IntN(w.networks))}
		}
		return []policy.SetID{policy.SetID(1 + r.IntN(w.services))}
	}
	for i := range w.rules {
		ports := []policy.Port{{Proto: packet.ProtoTCP, SrcHi: 65535}, {Proto: packet.ProtoUDP, SrcHi: 65535}}
		ports[0].DstLo = uint16(1 + r.IntN(5000))
		ports[0].DstHi = ports[0].DstLo
		ports[1].DstLo, ports[1].DstHi = uint16(6000+i%100), uint16(6100+i%100)
		verdict := policy.Allow
		if i < w.rules/10 {
			verdict = policy.Deny
		}
		rs.Rules = append(rs.Rules, policy.Rule{Name: fmt.Sprintf("r%06d", i), Verdict: verdict, From: side(), To: side(), Ports: ports, File: "district.toml", Line: uint32(i)})
	}
	data, err := policy.Encode(rs)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// crowd is the endpoints of a district.
func (w district) crowd() roster {
	r := rand.New(rand.NewPCG(3, 4))
	all := make(roster, w.endpoints)
	for i := range w.endpoints {
		s := r.IntN(w.services)
		e := endpoint{Name: fmt.Sprintf("e%07d", i), Segment: "s", Port: "a", MAC: packet.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}, FromAPI: true,
			Labels: map[string]string{"app": fmt.Sprint("app", s/4), "part": fmt.Sprint("part", s%4), "pod": fmt.Sprint("pod", i), "zone": fmt.Sprint("z", i%3)}}
		for j := range w.addresses {
			n := 16 + i*w.addresses + j
			e.IPs = append(e.IPs, netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
		}
		all[e.Name] = e
	}
	return all
}

// BenchmarkLoadAndLink is a compiled policy that comes into force for a million
// addresses, from its file until every worker goes by it: load reads, checks and
// indexes the file, link makes the tables.
func BenchmarkLoadAndLink(b *testing.B) {
	for _, w := range districts {
		b.Run(w.String(), func(b *testing.B) {
			l := started(b, "[[segments]]\nname = \"s\"\ngateways = [\"10.0.0.1/8\"]\n[[ports]]\nname = \"a\"\nsegment = \"s\"\n")
			path := filepath.Join(b.TempDir(), "district.bhp")
			if err := os.WriteFile(path, w.artifact(b), 0o600); err != nil {
				b.Fatal(err)
			}
			crowd := w.crowd()
			l.sw.mu.Lock()
			defer l.sw.mu.Unlock()
			var loads, links []time.Duration
			for b.Loop() {
				begun := time.Now()
				rules, _, err := readRules(theWorld.disk, l.sw.cfg, path, floor{})
				if err != nil {
					b.Fatal(err)
				}
				l.sw.indexOf(rules)
				loaded := time.Now()
				if err := l.sw.relink(crowd, rules); err != nil {
					b.Fatal(err)
				}
				loads, links = append(loads, loaded.Sub(begun)), append(links, time.Since(loaded))
			}
			for what, took := range map[string][]time.Duration{"load": loads, "link": links} {
				b.ReportMetric(slices.Min(took).Seconds()*1e3, what+"-least-ms")
				b.ReportMetric(slices.Max(took).Seconds()*1e3, what+"-most-ms")
			}
			b.ReportMetric(float64(l.sw.live.Load().snapshot.Policy.Stats().Bytes>>20), "table-MiB")
		})
	}
}
