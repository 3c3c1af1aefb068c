package route

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gaissmai/bart"

	"bulkhead/dataplane/packet"
)

// drawn returns n prefixes as routing tables have them, of one family: IPv4 of 16 to
// 24 bits, IPv6 of 32 to 64 under 2000::/3; and addresses within them.
func drawn(n int, v6 bool) (prefixes []netip.Prefix, dst []packet.Addr) {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	for range n {
		var a netip.Addr
		bits := 16 + r.IntN(9)
		if v6 {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], 0x2000_0000_0000_0000|r.Uint64()>>3)
			binary.BigEndian.PutUint64(b[8:], r.Uint64())
			a, bits = netip.AddrFrom16(b), 32+r.IntN(33)
		} else {
			a = netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x01000000+r.Uint32N(0xd0000000))))
		}
		prefixes = append(prefixes, netip.PrefixFrom(a, bits).Masked())
		dst = append(dst, packet.AddrFrom(a))
	}
	r.Shuffle(n, func(i, j int) { dst[i], dst[j] = dst[j], dst[i] })
	return prefixes, dst
}

// BenchmarkLookup is the longest-prefix match of the walk beside that of the table
// which it is made of, asked by itself.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		for _, family := range []string{"v4", "v6"} {
			prefixes, dst := drawn(n, family == "v6")
			build := NewBuilder()
			hop := netip.MustParsePrefix("240.0.0.0/24")
			via := netip.MustParseAddr("240.0.0.9")
			if family == "v6" {
				hop, via = netip.MustParsePrefix("fd00::/64"), netip.MustParseAddr("fd00::9")
			}
			build.Connected(1, hop, 0)
			alone := new(bart.Table[*Next])
			seen := map[netip.Prefix]bool{}
			for _, p := range prefixes {
				if !seen[p] && !p.Contains(via) {
					build.Static(1, p, via)
					alone.Insert(p, new(Next))
				}
				seen[p] = true
			}
			table, err := build.Build()
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%d", family, n), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if _, found := table.Lookup(1, &dst[i%len(dst)]); !found {
						b.Fatal(dst[i%len(dst)])
					}
				}
			})
			b.Run(fmt.Sprintf("%s/%d/bart", family, n), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					if _, found := alone.Lookup(dst[i%len(dst)].Netip()); !found {
						b.Fatal(dst[i%len(dst)])
					}
				}
			})
		}
	}
}
