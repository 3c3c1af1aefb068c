package vswitch_test

import (
	"fmt"
	"testing"
)

// A link behind the router is narrower than the uplink, and nobody has told the
// switch: the router does, when the first large tunnel does not fit, and web's own
// TCP hears of it from its gateway. So TCP at full size gets through, and the
// largest packet is what the path leaves.
func TestSmokeOverlayNarrowPath(t *testing.T) {
	root(t)
	bin, policy := build(t), buildPolicy(t, overlayPolicy)
	for _, o := range []overlay{
		{name: "ipv4", driver: "xdp", routed: true}, {name: "ipv6", driver: "xdp", routed: true, v6: true},
		{name: "ipv4, udp", driver: "udp", routed: true}, {name: "ipv6, udp", driver: "udp", routed: true, v6: true},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			s := o.run(t, bin, policy)
			defer func() {
				if t.Failed() {
					t.Logf("web: %+v", s.port(t, "web"))
					t.Logf("up: %+v", s.port(t, "up"))
				}
			}()
			const under = 1400
			narrow := under - (1500 - s.mtu())
			for _, line := range []string{
				fmt.Sprintf("-n %s link set tok mtu %d", s.r, under), fmt.Sprintf("-n %s link set under mtu %d", s.k, under),
				fmt.Sprintf("-n %s link set vxlan100 mtu %d", s.k, narrow), fmt.Sprintf("-n %s link set eth0 mtu %d", s.db, narrow),
				fmt.Sprintf("-n %s route change 10.66.0.0/24 dev eth0 advmss %d", s.db, s.mtu()-40),
				fmt.Sprintf("-n %s -6 route add fd66::/64 dev eth0 metric 1 advmss %d", s.db, s.mtu()-60),
			} {
				sh(t, "ip "+line)
			}
			for _, c := range []struct {
				to string
				ip int
			}{{"10.66.0.2", 28}, {"fd66::2", 48}} {
				pings(t, s.web, c.to)
				carry(t, s.web, s.db, c.to, 1<<20)
				carry(t, s.web, s.db, c.to, 1<<20)
				if !ping(s.web, c.to, narrow-c.ip) || ping(s.web, c.to, narrow-c.ip+1) {
					t.Errorf("to %s: %d bytes of IP are not what gets through", c.to, narrow)
				}
			}
			if s.port(t, "web").Drops["too-big"] == 0 {
				t.Error("nothing was too big")
			}
			s.balanced(t)
		})
	}
}
