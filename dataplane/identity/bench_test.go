package identity

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"bulkhead/dataplane/packet"
)

// BenchmarkSource is what the walk asks of every frame, about endpoints drawn
// without locality.
func BenchmarkSource(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint("endpoints=", n), func(b *testing.B) {
			build := NewBuilder()
			mac := func(i uint32) packet.MAC { return packet.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)} }
			addr := func(i uint32) packet.Addr {
				return packet.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			}
			for i := range uint32(n) {
				build.Endpoint(Endpoint{Zone: 1, MAC: mac(i), Port: packet.PortID(i % 1000), Peer: NoPeer}, []Address{{addr(i), []uint32{0, i % 10_000}}}, nil)
			}
			t, err := build.Build()
			if err != nil {
				b.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 2))
			order := make([]uint32, 1<<16)
			for i := range order {
				order[i] = uint32(r.IntN(n))
			}
			for at := 0; b.Loop(); at++ {
				i := order[at%len(order)]
				a := addr(i)
				if _, bound := t.Source(packet.PortID(i%1000), 0, mac(i), 1, &a); !bound {
					b.Fatal("not bound")
				}
			}
		})
	}
}

// BenchmarkOutside finds addresses that nobody has by their prefixes, one by one
// and in batches: of few prefixes, and of many without locality. Prefixes are 16
// to 32 bits long, and so are those that addresses are drawn of.
func BenchmarkOutside(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		r := rand.New(rand.NewPCG(1, 2))
		build := NewBuilder()
		addrs := make([]packet.Addr, 1<<16)
		for i := range n {
			a := packet.AddrFrom4([4]byte{byte(r.IntN(224)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
			build.Outside(netip.PrefixFrom(a.Netip(), 16+r.IntN(17)).Masked(), []uint32{0, uint32(1 + i%1000)})
			addrs[i%len(addrs)] = a
		}
		for i := n; i < len(addrs); i++ {
			addrs[i] = addrs[i%n]
		}
		r.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
		t, err := build.Build()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("how=one/prefixes=", n), func(b *testing.B) {
			for at := 0; b.Loop(); at++ {
				benchID, _ = t.Identify(1, &addrs[at%len(addrs)])
			}
		})
		b.Run(fmt.Sprint("how=batch/prefixes=", n), func(b *testing.B) {
			var ids [64]ID
			at := 0
			for b.Loop() {
				t.IdentifyAll(1, addrs[at:at+len(ids)], ids[:])
				benchID, at = ids[0], (at+len(ids))%len(addrs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ids)), "ns/address")
		})
	}
}

var benchID ID
