package identity

import (
	"fmt"
	"math/rand/v2"
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
				if _, bound := t.Source(packet.PortID(i%1000), mac(i), 1, &a); !bound {
					b.Fatal("not bound")
				}
			}
		})
	}
}
