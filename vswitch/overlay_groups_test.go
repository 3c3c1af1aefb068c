package vswitch_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The Group Policy extension against the kernel's: it puts a packet's mark into
// the header, and the number of one that comes into the packet's mark. So its
// nftables say who the host behind it is of, and count who our own are of.

const groupsPolicy = `version = 1
[services.web]
labels = { role = "web" }
[services.db]
labels = { role = "db" }
[services.spy]
labels = { role = "spy" }
[[rules]]
name = "web-to-db"
allow = { from = ["web"], to = ["db"], ports = ["tcp/5100", "icmp/echo"] }
[[rules]]
name = "db-to-web"
allow = { from = ["db"], to = ["web"], ports = ["tcp/5100", "icmp/echo"] }
[[rules]]
name = "spy-to-web"
allow = { from = ["spy"], to = ["web"], ports = ["icmp/echo"] }
`

// groupsConfig has nobody registered behind the peer, which may speak for db and
// not for spy.
func (s *site) groupsConfig() string {
	text := s.config()
	from, to := strings.Index(text, "[[endpoints]]"), strings.Index(text, "[[peers]]")
	text = text[:from] + `[[groups]]
name = "db"
number = 17
labels = { role = "db" }
[[groups]]
name = "web"
number = 18
labels = { role = "web" }
[[groups]]
name = "spy"
number = 19
labels = { role = "spy" }
` + strings.Replace(text[to:], `segments = ["s"]`, "segments = [\"s\"]\ngroups = [\"db\"]", 1)
	return strings.Replace(text, "vni = 100\n", "vni = 100\nlearning = true\nbroadcast = \"flood\"\n", 1)
}

// mark has the kernel's host send what comes from db under a number; 0: under
// none.
func (s *site) mark(t *testing.T, number int) {
	t.Helper()
	sh(t, "ip netns exec "+s.k+" nft flush ruleset")
	rules := "add table netdev m; add chain netdev m c { type filter hook ingress device p0 priority 0; };"
	if number != 0 {
		rules += fmt.Sprintf("add rule netdev m c meta mark set %d;", number)
	}
	rules += "add table bridge b; add chain bridge b c { type filter hook forward priority 0; };" +
		"add rule bridge b c iifname vxlan100 meta mark 18 counter;" +
		"add rule bridge b c iifname vxlan100 meta mark != 18 ether type { ip, ip6 } icmp type echo-request counter"
	in(t, s.k, "nft '"+rules+"'")
}

// marked returns how many frames came to the kernel's host under web's number.
func (s *site) marked(t *testing.T) (n int) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", s.k, "nft", "list", "chain", "bridge", "b", "c").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if _, rest, found := strings.Cut(line, "meta mark 0x00000012 counter packets "); found {
			fmt.Sscan(rest, &n)
		}
	}
	return n
}

func TestSmokeGroupsWithTheKernels(t *testing.T) {
	root(t)
	bin, policy := build(t), buildPolicy(t, groupsPolicy)
	for _, o := range []overlay{
		{name: "ipv4", driver: "xdp", vxlan: "gbp", groups: true},
		{name: "ipv6", driver: "xdp", v6: true, vxlan: "gbp", groups: true},
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
			s.groupTraffic(t)
		})
	}
}

func (s *site) groupTraffic(t *testing.T) {
	s.mark(t, 17)
	for _, c := range []struct{ from, to string }{{s.db, "10.66.0.1"}, {s.web, "10.66.0.2"}, {s.db, "fd66::1"}, {s.web, "fd66::2"}} {
		pings(t, c.from, c.to)
	}
	if s.marked(t) == 0 {
		t.Error("nothing came to the kernel under the number of web's group")
	}
	carry(t, s.web, s.db, "10.66.0.2", 1<<20)
	carry(t, s.db, s.web, "fd66::1", 1<<20)
	for _, c := range []struct {
		number int
		reason string
	}{{0, "no-rule"}, {19, "forged-group"}} {
		s.mark(t, c.number)
		heard, before := s.capture(t, s.web, "eth0"), s.port(t, "up").Drops[c.reason]
		if ping(s.db, "10.66.0.1", 56) || ping(s.db, "fd66::1", 56) {
			t.Errorf("group %d: an answer", c.number)
		}
		deadline := time.Now().Add(2 * time.Second)
		for s.port(t, "up").Drops[c.reason] < before+2 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if got := s.port(t, "up").Drops[c.reason] - before; got < 2 {
			t.Errorf("group %d: %d counted as %s: %v", c.number, got, c.reason, s.port(t, "up").Drops)
		}
		if n := heard(isEchoRequest); n != 0 {
			t.Errorf("group %d: web's own capture has %d of the frames", c.number, n)
		}
	}
	s.mark(t, 17)
	pings(t, s.db, "10.66.0.1")
	s.balanced(t)
}
