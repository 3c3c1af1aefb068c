package vswitch

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

// A crowd that is linked at once is what its endpoints are one by one, and its
// identities have the same numbers on one processor and on several.
func TestCrowdIsItsEndpointsOneByOne(t *testing.T) {
	w := district{services: 50, networks: 300, rules: 300, endpoints: 5_000, addresses: 3}
	rules, err := policy.Decode(w.artifact(t))
	if err != nil {
		t.Fatal(err)
	}
	crowd := w.crowd()
	r := rand.New(rand.NewPCG(5, 6))
	for name, e := range crowd { // some among the networks, some of a service fewer
		if r.IntN(3) == 0 {
			e.IPs[1] = rules.Sets[1+w.services+r.IntN(w.networks)].Prefixes[0].Addr()
			for range r.IntN(250) {
				e.IPs[1] = e.IPs[1].Next()
			}
		}
		if r.IntN(5) == 0 {
			delete(e.Labels, "part")
		}
		crowd[name] = e
	}
	taken := map[string]bool{}
	for name, e := range crowd {
		if at := e.IPs[1].String(); taken[at] {
			delete(crowd, name)
		} else {
			taken[at] = true
		}
	}
	l := started(t, "[[segments]]\nname = \"s\"\ngateways = [\"10.0.0.1/8\"]\n[[ports]]\nname = \"a\"\nsegment = \"s\"\n")
	l.sw.mu.Lock()
	defer l.sw.mu.Unlock()
	numbered := map[packet.Addr]identity.ID{}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, processors := range []int{1, 2, 3} {
		runtime.GOMAXPROCS(processors)
		if err := l.sw.relink(crowd, rules); err != nil {
			t.Fatal(err)
		}
		table := l.sw.linked.s.Identity
		for name, e := range crowd {
			place, addrs, err := l.sw.linked.placed(&e)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range addrs {
				at, id, found := table.ByAddr(place.Zone, &a.Addr)
				if !found || table.Endpoint(at).Name != name || table.Endpoint(at).MAC != e.MAC || !slices.Equal(table.Sets(id), a.Sets) {
					t.Fatalf("%s of %s is found: %v, of %v; it is of %v", a.Addr, name, found, table.Sets(id), a.Sets)
				}
				if was, known := numbered[a.Addr]; known && was != id {
					t.Fatalf("%s is identity %d, and %d on %d processors", a.Addr, was, id, processors)
				}
				numbered[a.Addr] = id
			}
		}
	}
}

// The first endpoint that cannot be placed, by name, is the one that is told of.
func TestFirstWrongEndpointOfACrowdIsTold(t *testing.T) {
	w := district{services: 5, networks: 1, rules: 1, endpoints: 5_000, addresses: 1}
	l := started(t, "[[segments]]\nname = \"s\"\ngateways = [\"10.0.0.1/8\"]\n[[ports]]\nname = \"a\"\nsegment = \"s\"\n")
	crowd := w.crowd()
	for _, i := range []int{4711, 4000, 1500} {
		e := crowd[fmt.Sprintf("e%07d", i)]
		e.Segment = "nowhere"
		crowd[e.Name] = e
	}
	l.sw.mu.Lock()
	defer l.sw.mu.Unlock()
	err := l.sw.relink(crowd, nil)
	if err == nil || !strings.Contains(err.Error(), `link endpoint "e0001500": segment "nowhere" is not known`) || strings.Contains(err.Error(), "e0004") {
		t.Fatal(err)
	}
}

// Names are in the order of their bytes, whatever they have in common.
func TestRosterIsSortedByName(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, prefix := range []string{"", "pod-", "a-long-prefix-that-all-have-", "\x00"} {
		for _, n := range []int{0, 1, 2, 30, 3_000} {
			all := roster{}
			var names []string
			for range n {
				b := make([]byte, r.IntN(12))
				for i := range b {
					b[i] = "\x00ab\xff"[r.IntN(4)]
				}
				name := prefix + string(b)
				if _, taken := all[name]; !taken {
					all[name] = endpoint{Name: name}
					names = append(names, name)
				}
			}
			slices.Sort(names)
			for i, e := range all.sorted() {
				if e.Name != names[i] {
					t.Fatalf("%d of %d with prefix %q: %q, not %q", i, n, prefix, e.Name, names[i])
				}
			}
		}
	}
}
