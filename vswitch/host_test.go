package vswitch

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
	"bulkhead/vswitch/control/api"
)

const hostPolicy = `version = 1
[[rules]]
name = "hosts"
allow = { from = ["host"], to = ["any"], ports = ["tcp/80"] }
[[rules]]
name = "strangers"
allow = { from = ["outside"], to = ["any"], ports = ["tcp/81"] }
`

// Who has host = true is host, and stays it where the API moves it; no endpoint
// is outside, whether it is a host or not.
func TestHostAndOutsideOfTheRunningSwitch(t *testing.T) {
	l := started(t, labSegment+member("node", 1, "host = true")+member("web", 2, "")+"[[ports]]\nname = \"spare\"\nsegment = \"s\"\nnetns = \"spare\"\n")
	l.policyText("host.bhp", hostPolicy)
	if err := l.load("host.bhp"); err != nil {
		t.Fatal(err)
	}
	node, web, spare := l.port("node"), l.port("web"), l.port("spare")
	const syn = 2
	for _, c := range []struct {
		situation string
		from, to  *labPort
		frame     []byte
		want      bool
	}{
		{"from the host", node, web, frame(1, 2, 6, 1001, 80, syn), true},
		{"to the host", web, node, frame(2, 1, 6, 1002, 80, syn), false},
		{"from a host that is not outside", node, web, frame(1, 2, 6, 1003, 81, syn), false},
		{"from a workload that is not outside", web, node, frame(2, 1, 6, 1004, 81, syn), false},
	} {
		if got := l.passes(c.from, 0, c.frame, c.to); got != c.want {
			t.Errorf("%s: passed %v, want %v", c.situation, got, c.want)
		}
	}
	if _, err := l.sw.Control("", nil).ChangeEndpoint(&api.EndpointChange{Op: api.EndpointMove, Name: "node", Port: "spare"}); err != nil {
		t.Fatal(err)
	}
	list, err := l.sw.Control("", nil).Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Host != (e.Name == "node") || e.Labels[policy.HostLabel] != "" || e.Host != slices.Contains(e.Services, "host") {
			t.Errorf("listed as %+v", e)
		}
	}
	spare.inject(0, frame(1, 2, 6, 1005, 80, syn))
	if _, came := web.takes(5 * time.Second); !came {
		t.Error("after a move the host is none")
	}
}

// The addresses at which a whole segment hears are not outside, though nobody has
// them; those next to them are.
func TestBroadcastAddressesOfSegmentsAreNotOutside(t *testing.T) {
	l := started(t, labSegment+"gateways = [\"10.0.0.254/24\"]\n"+member("web", 1, ""))
	l.policyText("host.bhp", hostPolicy)
	if err := l.load("host.bhp"); err != nil {
		t.Fatal(err)
	}
	s := l.sw.live.Load().snapshot
	outside, named := s.Rules.Outside()
	if !named {
		t.Fatal("the policy has no outside")
	}
	g := l.sw.cfg.Segments[0].Gateways[0].Masked()
	for text, want := range map[string]bool{
		g.Addr().String(): false, lastAddr(g).String(): false, lastAddr(g).Prev().String(): true, lastAddr(g).Next().String(): true,
		"255.255.255.255": false, "224.0.0.251": false, "239.1.1.1": false, "192.0.2.1": true, "fe80::1": false, "ff02::1": false, "2001:db8::1": true,
	} {
		a := packet.AddrFrom(netip.MustParseAddr(text))
		id, _ := s.Identity.Identify(s.Segments[0].Zone, &a)
		if got := slices.Contains(s.Identity.Sets(id), uint32(outside)); got != want {
			t.Errorf("%s: outside %v, want %v", text, got, want)
		}
	}
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
