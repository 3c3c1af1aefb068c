package route

import (
	"net/netip"
	"testing"

	"bulkhead/dataplane/packet"
)

func TestPaths(t *testing.T) {
	var p Paths
	four, six := packet.AddrFrom(netip.MustParseAddr("192.0.2.1")), packet.AddrFrom(netip.MustParseAddr("2001:db8::1"))
	const minute = int64(60e9)
	for i, c := range []struct {
		at   Time
		addr *packet.Addr
		mtu  uint32 // 0: nothing is learned
		news bool
		want uint32
	}{
		{minute, &four, 0, false, 0},
		{minute, &four, 1400, true, 1400},
		{2 * minute, &four, 1450, false, 1400}, // it does not become wider
		{2 * minute, &four, 1300, true, 1300},
		{3 * minute, &four, 68, true, 576}, // nor as narrow as anybody says
		{3 * minute, &six, 0, false, 0},
		{3 * minute, &six, 100, true, 1280},
		{14 * minute, &four, 0, false, 0}, // it is found out anew
		{14 * minute, &four, 1450, true, 1450},
	} {
		if c.mtu != 0 && p.Learn(c.addr, c.mtu, c.at) != c.news {
			t.Errorf("step %d: news %v", i, !c.news)
		}
		if got := p.MTU(c.addr, c.at); got != c.want {
			t.Errorf("step %d: MTU %d, want %d", i, got, c.want)
		}
	}
}

// The table is bounded; what is old makes room.
func TestPathsAreBounded(t *testing.T) {
	var p Paths
	for i := range MaxPaths + 10 {
		a := packet.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if news := p.Learn(&a, 1400, 1); news != (i < MaxPaths) {
			t.Fatalf("path %d: news %v", i, news)
		}
	}
	late := packet.AddrFrom4([4]byte{10, 1, 0, 0})
	if !p.Learn(&late, 1400, int64(pathAge)+2) || p.Len() != 1 {
		t.Errorf("%d paths when all but one are old", p.Len())
	}
}
