package identity

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"bulkhead/dataplane/packet"
)

// loaded makes a Builder of members at once.
func loaded(members []member) *Builder {
	b := newOutside()
	c := &Crowd{Behind: map[int][]netip.Prefix{}}
	for i, m := range members {
		c.Endpoints = append(c.Endpoints, m.e)
		for _, a := range m.addrs {
			c.Addrs = append(c.Addrs, Bound{a.Addr, b.ID(a.Sets)})
		}
		c.Ends = append(c.Ends, uint32(len(c.Addrs)))
		c.Behind[i] = m.behind
	}
	b.Load(c)
	return b
}

// A crowd that is loaded is the one that comes one by one: it answers alike, goes on
// alike, and if two contradict each other that is said in the same words.
func TestLoadIsAsIfOneByOne(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	refused := 0
	for range 400 {
		one := newOutside()
		var members []member
		for i := range r.IntN(25) {
			m := draw(r, fmt.Sprint("e", i))
			if r.IntN(5) > 0 && one.check(&m.e, m.addrs, nobody) != nil {
				continue // else nearly every crowd has two that contradict each other
			}
			members = append(members, m)
			one.Endpoint(m.e, m.addrs, m.behind)
		}
		many := loaded(members)
		got, changes, err := many.Next()
		want, wrong := one.Build()
		if fmt.Sprint(err) != fmt.Sprint(wrong) {
			t.Fatalf("loaded: %v\none by one: %v", err, wrong)
		}
		if err != nil {
			refused++
			continue
		}
		alike(t, got, want, r)
		tellIDs(t, map[ID]string{}, got, changes)
		c := &crowd{b: many, of: map[string]member{}}
		for _, m := range members {
			c.of[m.e.Name] = m
		}
		for range 5 {
			c.change(t, r)
		}
		next, err := c.b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if want, err = c.whole(); err != nil {
			t.Fatal(err)
		}
		alike(t, next, want, r)
	}
	if refused == 0 || refused == 400 {
		t.Errorf("%d of 400 crowds were refused", refused)
	}
}

// BenchmarkCrowd is a million endpoints, at once and one by one.
func BenchmarkCrowd(b *testing.B) {
	const n = 1_000_000
	c := &Crowd{}
	for i := range n {
		mac := packet.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		c.Endpoints = append(c.Endpoints, Endpoint{Zone: 1, MAC: mac, Port: packet.PortID(i % 1000), Peer: NoPeer})
		c.Addrs = append(c.Addrs, Bound{Addr: packet.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})})
		c.Ends = append(c.Ends, uint32(i+1))
	}
	sets := func(i int) []uint32 { return []uint32{0, uint32(i % 10_000)} }
	for how, make := range map[string]func(build *Builder){
		"once": func(build *Builder) {
			for i := range c.Addrs {
				c.Addrs[i].ID = build.ID(sets(i))
			}
			build.Load(c)
		},
		"one": func(build *Builder) {
			for i := range c.Endpoints {
				build.Endpoint(c.Endpoints[i], []Address{{c.Addrs[i].Addr, sets(i)}}, nil)
			}
		},
	} {
		b.Run("how="+how, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				build := NewBuilder()
				make(build)
				if _, err := build.Build(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
