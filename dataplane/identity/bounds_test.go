package identity

import (
	"net/netip"
	"strings"
	"testing"
)

// numbered is the prefix number i, of an address each.
func numbered(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// Networks beyond the bound are one error, however many they are.
func TestTooManyOutside(t *testing.T) {
	b := NewBuilder()
	for i := range MaxPrefixes + 1000 {
		b.Outside(numbered(i), anySets)
	}
	_, err := b.Build()
	if err == nil || len(err.Error()) > 200 || !strings.Contains(err.Error(), "one prefix more than the 2097152") {
		t.Errorf("%.400v", err)
	}
}

// Prefixes behind endpoints are bounded however they come, and what is refused
// changes nothing.
func TestTooManyBehind(t *testing.T) {
	many := make([]netip.Prefix, MaxPrefixes)
	for i := range many {
		many[i] = numbered(i % 64) // the bound counts what is stated
	}
	b := NewBuilder()
	router, other := workload("r", 1), workload("o", 2)
	add := func(e Endpoint, at string, behind []netip.Prefix, want bool) {
		t.Helper()
		if err := b.Add(e, []Address{{addr(at), anySets}}, behind); (err == nil) != want {
			t.Errorf("added %v, want %v: %v", err == nil, want, err)
		}
	}
	replace := func(e Endpoint, at string, behind []netip.Prefix, want bool) {
		t.Helper()
		if err := b.Replace(e.Segment, e.MAC, e, []Address{{addr(at), anySets}}, behind); (err == nil) != want {
			t.Errorf("replaced %v, want %v: %v", err == nil, want, err)
		}
	}
	add(router, "10.0.0.1", many[:MaxPrefixes-1], true)
	add(other, "10.0.0.2", many[:2], false)
	add(other, "10.0.0.2", many[:1], true)
	replace(other, "10.0.0.2", many[:2], false)
	replace(router, "10.0.0.3", many[:MaxPrefixes-1], true) // as many go as come
	table := mustBuild(t, b)
	for at, want := range map[string]bool{"10.0.0.2": true, "10.0.0.3": true, "10.0.0.1": false} {
		a := addr(at)
		if _, _, found := table.ByAddr(1, &a); found != want {
			t.Errorf("%s is an endpoint's: %v, want %v", at, found, want)
		}
	}
}
