package classify

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"bulkhead/dataplane/policy"
)

// sink keeps results used.
var sink policy.RuleID

// cities are policies of a fixed seed, from ten rules to more than 16 bits
// number.
var cities = []struct{ services, rules, endpoints int }{{10, 10, 100}, {100, 1000, 1000}, {10_000, 70_000, 100_000}}

// BenchmarkDecide asks along the rules, without locality.
func BenchmarkDecide(b *testing.B) {
	for _, c := range cities {
		b.Run(fmt.Sprintf("rules=%d", c.rules), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			w := city(r, c.services, c.rules, c.endpoints)
			e := w.link(b)
			flows := make([]flow, 1<<14)
			for i := range flows {
				flows[i] = w.drawFlow(r)
			}
			b.ReportMetric(float64(e.Stats().Bytes)/(1<<20), "MiB")
			b.ResetTimer()
			for i := range b.N {
				sink, _ = e.ask(flows[i&(len(flows)-1)])
			}
		})
	}
}

func BenchmarkLink(b *testing.B) {
	for _, c := range cities {
		b.Run(fmt.Sprintf("rules=%d", c.rules), func(b *testing.B) {
			w := city(rand.New(rand.NewPCG(1, 2)), c.services, c.rules, c.endpoints)
			for b.Loop() {
				w.link(b)
			}
		})
	}
}
