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
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it makes a network namespace")
	}
}

// exported is the ruleset for the kernel. Of a policy with a stateless rule there
// is none, and it says why: stateless is then taken out, and the trial is of what
// is left.
func (x *trial) exported() (text string, y *trial, err error) {
	about, err := x.about()
	if err != nil {
		return "", nil, err
	}
	free := slices.ContainsFunc(about.p.Rules, func(r *check.Rule) bool { return r.Stateless && !r.Dormant })
	text, err = analyze.Nftables(about.p, x.endpoints())
	if !free {
		return text, x, err
	}
	if err == nil || !strings.Contains(err.Error(), "stateless") {
		return "", nil, fmt.Errorf("a stateless rule speaks, and the export says %v", err)
	}
	less := slices.Clone(x.statements)
	for i := range less {
		less[i].Text = strings.ReplaceAll(less[i].Text, "stateless = true\n", "")
	}
	return x.saying(less).exported()
}

// endpoints are the people with labels, as the export asks for them.
func (x *trial) endpoints() []analyze.Endpoint {
	var known []analyze.Endpoint
	for i, s := range x.people {
		if s.Labels != nil {
			known = append(known, analyze.Endpoint{Name: fmt.Sprint(i), Labels: s.Labels, IPs: []netip.Addr{s.Addr}})
		}
	}
	return known
}

// inKernel holds a kernel with the exported ruleset against eval: which packets
// come out, and how many each rule has accepted.
func inKernel(t *testing.T, x *trial) string {
	text, y, err := x.exported()
	if err != nil {
		return err.Error()
	}
	problem := y.loaded(t, text)
	x.allowed = y.allowed
	return problem
}

// loaded holds a kernel with a ruleset against eval.
func (x *trial) loaded(t *testing.T, text string) string {
	x.allowed = 0
	m, err := x.meant(x.now)
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
		v := m.said[q]
		if got.passed[uint32(i)] != v.allow {
			return fmt.Sprintf("%s: at %d meant %s, the kernel says %v", m.say(q), m.now, v, got.passed[uint32(i)])
		}
		if v.allow {
			want[strings.ReplaceAll(v.by.Name, `"`, "'")]++ // nft has no notation for a quote
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
