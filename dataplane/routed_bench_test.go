package dataplane_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"bulkhead/dataplane"
	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// BenchmarkRouted is what a packet of an open session costs that is routed by the
// longest of 100,000 prefixes, translated or not: the whole walk, IPv4 beside IPv6.
func BenchmarkRouted(b *testing.B) {
	for _, translated := range []bool{false, true} {
		for _, family := range []string{"v4", "v6"} {
			b.Run(fmt.Sprintf("%s/translated=%v", family, translated), func(b *testing.B) { benchRouted(b, family == "v6", translated) })
		}
	}
}

func benchRouted(b *testing.B, v6, translated bool) {
	t := new(testing.T)
	r := newScriptRun(t)
	world := `
segment shop 10.0.0.254/24 fd00::fe/64
segment edge 240.0.0.1/24 fd00:e::1/64
port p1 shop
port p2 edge
endpoint web p1 10.0.0.1 fd00::1
endpoint router p2 240.0.0.2 fd00:e::2 behind=0.0.0.0/0,::/0
outside
allow out: web -> outside udp/53
`
	if translated {
		world += "translate 10.0.0.0/24 to 203.0.113.7\ntranslate fd00::/64 to 2001:db8:f::7\n"
	}
	r.run(world)
	dst := drawRoutes(r, v6)
	r.run("generation\n")
	var frames [packet.BatchSize]*sent
	for i := range frames {
		line := fmt.Sprintf("udp 10.0.0.1:%d > %s:53", 1000+i, dst[i])
		if v6 {
			line = fmt.Sprintf("udp [fd00::1]:%d > [%s]:53", 1000+i, dst[i])
		}
		s, err := r.w.frameOf("p1", line)
		if err != nil {
			b.Fatal(err)
		}
		frames[i] = &s
	}
	buf := make([][]byte, len(frames))
	for i, s := range frames {
		buf[i] = make([]byte, packet.Headroom+len(s.bytes)+packet.Headroom)
	}
	batch := func() {
		r.batch.Reset()
		for i, s := range frames {
			copy(buf[i][packet.Headroom:], s.bytes)
			r.batch.Next().Begin(buf[i], packet.Headroom, uint32(packet.Headroom+len(s.bytes)), 1)
		}
		r.now += 1000
		dataplane.Run(r.worker, r.snapshot, r.now, &r.batch)
	}
	batch()
	if f := r.batch.Frame(0); f.Reason != drop.None || f.Egress != 2 {
		b.Fatalf("ended as %s", f.Reason)
	}
	b.ReportAllocs()
	for b.Loop() {
		batch()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(frames)), "ns/frame")
}

// drawRoutes adds 100,000 prefixes of a family, all by way of the router, and
// returns an address in each of some.
func drawRoutes(r *scriptRun, v6 bool) (dst [packet.BatchSize]netip.Addr) {
	random := rand.New(rand.NewPCG(1, 7))
	via, seen := netip.MustParseAddr("240.0.0.2"), map[netip.Prefix]bool{}
	if v6 {
		via = netip.MustParseAddr("fd00:e::2")
	}
	for i := range 100_000 {
		a, bits := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x20000000+random.Uint32N(0x50000000)))), 16+random.IntN(9)
		if v6 {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], 0x2000_0000_0000_0000|random.Uint64()>>4)
			a, bits = netip.AddrFrom16(b), 32+random.IntN(33)
		}
		if i < len(dst) {
			dst[i] = a
		}
		if p := netip.PrefixFrom(a, bits).Masked(); !seen[p] {
			seen[p] = true
			r.w.routes = append(r.w.routes, staticRoute{1, p, via})
		}
	}
	r.changed = true
	return dst
}
