package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawLabels draws labels that selectors have, and others.
func drawLabels(t *rapid.T, rs *Ruleset) map[string]string {
	keys, values := []string{"x"}, []string{"", "1"}
	for _, s := range rs.Sets {
		for _, alternative := range s.Selector {
			for _, r := range alternative {
				keys, values = append(keys, r.Key), append(values, r.Values...)
			}
		}
	}
	return rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom(values), 0, 4).Draw(t, "labels")
}

// drawAddr draws the first and the last address of a prefix, those beside it,
// and others.
func drawAddr(t *rapid.T, rs *Ruleset) netip.Addr {
	all := []netip.Addr{{}, netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
	for _, s := range rs.Sets {
		for _, p := range slices.Concat(s.Prefixes, s.Except) {
			last := p.Addr().AsSlice()
			for bit := p.Bits(); bit < 8*len(last); bit++ {
				last[bit/8] |= 0x80 >> (bit % 8)
			}
			end, _ := netip.AddrFromSlice(last)
			all = append(all, p.Addr(), p.Addr().Prev(), end, end.Next())
		}
	}
	return rapid.SampledFrom(all).Draw(t, "address")
}

// The index answers what asking every set does.
func TestIndexAgreesWithEverySet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := drawRuleset(t)
		x := NewIndex(rs)
		for range 10 {
			labels, a := drawLabels(t, rs), drawAddr(t, rs)
			if got, want := x.ServicesOf(labels), rs.ServicesOf(labels); !slices.Equal(got, want) {
				t.Fatalf("%v: the index says %v, the sets say %v", labels, got, want)
			}
			if got, want := x.OutsideOf(a), rs.OutsideOf(a); !slices.Equal(got, want) {
				t.Fatalf("%v of no endpoint: the index says %v, the sets say %v", a, got, want)
			}
			if got, want := x.NetworksOf(a), rs.NetworksOf(a); !slices.Equal(got, want) {
				t.Fatalf("%v: the index says %v, the sets say %v", a, got, want)
			}
		}
	})
}

// city is a ruleset of services that all share labels with many, and of
// networks that lie in each other.
func city(services int) *Ruleset {
	rs := &Ruleset{Sets: []Set{{Name: "any"}}}
	in := func(key, format string, n int) Requirement {
		return Requirement{Key: key, Op: OpIn, Values: []string{fmt.Sprintf(format, n)}}
	}
	for i := range services {
		rs.Sets = append(rs.Sets, Set{Kind: KindService, Name: fmt.Sprintf("s%05d", i),
			Selector: Selector{{in("app", "app%d", i/4), in("env", "env%d", i%2), in("tier", "tier%d", i%4)}}})
	}
	for i := range services {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0})
		rs.Sets = append(rs.Sets, Set{Kind: KindNetwork, Name: fmt.Sprintf("n%05d", i), Prefixes: []netip.Prefix{netip.PrefixFrom(a, 24-i%2)}})
	}
	return rs
}

// Who comes with labels and an address of which nothing was known is told the
// sets they belong to in less than a millisecond, of 10,000 services and as
// many networks.
func TestAnUnseenEndpointIsPlacedInAMillisecond(t *testing.T) {
	x := NewIndex(city(10_000))
	const asked = 200
	start := time.Now()
	for i := range asked {
		labels := map[string]string{"app": fmt.Sprintf("app%d", i*7), "env": "env0", "tier": "tier2", "owner": "me"}
		if services := x.ServicesOf(labels); len(services) != 2 {
			t.Fatalf("%v: %v", labels, services)
		}
		x.NetworksOf(netip.AddrFrom4([4]byte{10, byte(i), 7, 9}))
	}
	if each := time.Since(start) / asked; each > time.Millisecond {
		t.Errorf("%v each", each)
	}
}

func BenchmarkPlaceUnseenEndpoint(b *testing.B) {
	labels := map[string]string{"app": "app777", "env": "env0", "tier": "tier2", "owner": "me"}
	a := netip.MustParseAddr("10.3.7.9")
	rs := city(10_000)
	x := NewIndex(rs)
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			x.ServicesOf(labels)
			x.NetworksOf(a)
		}
	})
	b.Run("every_set", func(b *testing.B) {
		for b.Loop() {
			rs.ServicesOf(labels)
			rs.NetworksOf(a)
		}
	})
	b.Run("make_the_index", func(b *testing.B) {
		for b.Loop() {
			NewIndex(rs)
		}
	})
}
