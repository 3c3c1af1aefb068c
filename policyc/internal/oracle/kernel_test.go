package oracle

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/worlds"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes a network namespace")
	}
}

// inKernel holds a kernel with the exported ruleset against eval: which packets
// come out, and how many each rule has accepted.
func inKernel(t *testing.T, x *trial) string {
	m, err := x.meant()
	if err != nil {
		return err.Error()
	}
	var known []analyze.Endpoint
	for i, s := range x.people {
		if s.Labels != nil {
			known = append(known, analyze.Endpoint{Name: fmt.Sprint(i), Labels: s.Labels, IPs: []netip.Addr{s.Addr}})
		}
	}
	text, err := analyze.Nftables(m.p, known)
	if err != nil {
		return err.Error()
	}
	list := x.forwarded()
	packets, err := x.bytesOf(list)
	if err != nil {
		return err.Error()
	}
	got, want := kernel(t, text, packets), map[string]uint64{}
	for i, q := range list {
		if got.passed[uint32(i)] != m.allow[q] {
			return fmt.Sprintf("%s: meant %s, the kernel says %v", m.say(q), m.word(q), got.passed[uint32(i)])
		}
		if m.allow[q] {
			want[strings.ReplaceAll(m.rule[q], `"`, "'")]++ // nft has no notation for a quote
		}
	}
	if !maps.Equal(got.counts, want) {
		return fmt.Sprintf("the kernel's rules have accepted %v, not %v", got.counts, want)
	}
	return ""
}

// forwarded are the questions that the kernel can be asked: those of the switch,
// and ICMP errors, which it lets pass where a rule says so.
func (x *trial) forwarded() []probe {
	asked, refused := x.packets()
	asked = slices.DeleteFunc(asked, func(q probe) bool { // AH over IPv6: the kernel asks about what is in it
		return q.flow.Proto == 51 && x.people[q.from].Addr.Is6()
	})
	for _, q := range refused {
		if hasPorts(q.flow.Proto) && !(x.people[q.from].Addr.Is6() && q.flow.Dst>>8 >= 133) {
			asked = append(asked, q)
		}
	}
	return asked
}

// The kernel, with the exported ruleset loaded, lets through exactly the packets
// that eval allows.
func TestTheKernelMeansTheSame(t *testing.T) {
	needRoot(t)
	sent, allowed := 0, 0
	for _, seed := range seeds(t, max(24, scale(24, 500))) { // the kernel is no slower for the race detector
		x := newTrial(t, seed, worlds.Small, 20, 1200)
		x.hold(t, func(x *trial) string { return inKernel(t, x) })
		sent += len(x.forwarded())
		allowed += x.allowed
	}
	t.Logf("%d packets", sent)
	if os.Getenv("BULKHEAD_SEED") == "" && allowed == 0 {
		t.Error("nothing was allowed: it proves nothing")
	}
}

// And so it does with as many rules as nft loads in seconds.
func TestTheKernelMeansTheSameAtEverySize(t *testing.T) {
	needRoot(t)
	sizes := []int{1, 10, 100, 1_000}
	if long {
		sizes = append(sizes, 10_000, 70_000)
	}
	for _, rules := range sizes {
		t.Run(fmt.Sprintf("rules=%d", rules), func(t *testing.T) {
			for _, seed := range seeds(t, 1) {
				x := newTrial(t, seed, func(*rand.Rand) worlds.Size { return worlds.Large(rules) }, 60, scale(4_000, 20_000))
				x.hold(t, func(x *trial) string { return inKernel(t, x) })
				t.Logf("%d packets", len(x.forwarded()))
			}
		})
	}
}
