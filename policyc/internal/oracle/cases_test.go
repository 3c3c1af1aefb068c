package oracle

import (
	"net/netip"
	"testing"

	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/worlds"
)

// kernelPolicy has what nftables could get wrong, one of each: endpoints in networks,
// exceptions, both ends of ranges, ICMP by type and code in both families,
// protocols that no rule names, a deny across it all.
const kernelPolicy = `version = 1
[services.web]
labels = { tier = "web" }
[services.db]
labels = { tier = "db" }
[services.gold]
labels = { class = "gold" }
[networks.office]
cidrs = ["192.0.2.0/24", "2001:db8:1::/48"]
except = ["192.0.2.66/32"]
[networks.all6]
cidrs = ["::/0"]
[[rules]]
name = "web-to-db"
allow = { from = ["web"], to = ["db"], ports = ["tcp/5432", "tcp/6000-6100", "icmp/echo", "udp/65535", "udp/0"] }
[[rules]]
name = "office \"in\""
allow = { from = ["office"], to = ["web"], ports = ["tcp/443", "icmp4/3/4", "icmp6/2"] }
[[rules]]
name = "gold"
allow = { from = ["gold"], to = ["any"], ports = ["any"] }
[[rules]]
name = "strangers"
allow = { from = ["all6"], to = ["office"], ports = ["tcp/25", "gre", "ip/99"] }
[[rules]]
name = "no-telnet"
deny = { from = ["any"], to = ["any"], ports = ["tcp/23", "tcp/6050"] }
[[rules]]
name = "no-gold-db"
deny = { from = ["gold"], to = ["db"], ports = ["icmp", "udp/53-60"] }
`

var kernelEndpoints = []analyze.Endpoint{
	{Name: "web-1", Labels: map[string]string{"tier": "web"}, IPs: addrs("10.1.0.1", "fd01::1")},
	{Name: "web-2", Labels: map[string]string{"tier": "web"}, IPs: addrs("192.0.2.66", "2001:db8:1::7")},
	{Name: "db-1", Labels: map[string]string{"tier": "db"}, IPs: addrs("10.1.0.2", "fd01::2")},
	{Name: "gold-web", Labels: map[string]string{"tier": "web", "class": "gold"}, IPs: addrs("10.1.0.3", "fd01::3")},
	{Name: "plain", Labels: map[string]string{}, IPs: addrs("192.0.2.10")},
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// orders are what ranks, ends and defaults say: appended to kernelPolicy's sets
// in turn, each for the kernel to decide.
var orders = map[string]string{
	"as_it_is": "",
	"deny_in_an_earlier_tier": `[[rules]]
name = "first"
tier = "platform"
deny = { from = ["web"], to = ["db"], ports = ["tcp/5432"] }
`,
	"pass_over_a_deny_of_its_tier": `[[rules]]
name = "over"
priority = 1
pass = { from = ["any"], to = ["any"], ports = ["tcp/23"] }
[[rules]]
name = "then"
tier = "baseline"
allow = { from = ["web"], to = ["any"], ports = ["tcp/23"] }
`,
	"baseline_allows": `[tiers.baseline]
default = "allow"
`,
	"security_denies_the_rest": `[tiers.security]
default = "deny"
[[rules]]
name = "on"
tier = "security"
pass = { from = ["any"], to = ["db"], ports = ["any"] }
`,
	"egress_only": `[[rules]]
name = "leaves"
tier = "security"
direction = "egress"
allow = { from = ["any"], to = ["any"], ports = ["udp"] }
`,
	"egress_and_ingress": `[[rules]]
name = "leaves"
tier = "security"
direction = "egress"
allow = { from = ["web"], to = ["any"], ports = ["udp"] }
[[rules]]
name = "arrives"
tier = "security"
direction = "ingress"
allow = { from = ["any"], to = ["db"], ports = ["udp/0-60"] }
`,
	"ingress_denies_what_egress_allows": `[[rules]]
name = "closed"
tier = "platform"
direction = "ingress"
deny = { from = ["any"], to = ["gold"], ports = ["any"] }
`,
	"source_ports": `[[rules]]
name = "answers"
allow = { from = ["db"], to = ["any"], ports = ["udp", "tcp/443"], source_ports = ["53", "1024-65535"] }
[[rules]]
name = "low"
priority = 1
deny = { from = ["any"], to = ["any"], ports = ["tcp", "sctp/1-9"], source_ports = ["0-1023"] }
`,
	"tie_of_allow_and_deny": `[[rules]]
name = "a-yes"
tier = "platform"
allow = { from = ["any"], to = ["any"], ports = ["tcp/443"] }
[[rules]]
name = "b-no"
tier = "platform"
deny = { from = ["office"], to = ["any"], ports = ["tcp/443"] }
`,
}

// Each order of rules means in the kernel, and in the switch, what it means.
func TestOrdersMeanTheSame(t *testing.T) {
	needRoot(t)
	for name, text := range orders {
		t.Run(name, func(t *testing.T) {
			x := &trial{times: []int64{1}, now: 1, statements: []worlds.Statement{{Text: kernelPolicy[len("version = 1\n"):]}, {Text: text}}}
			for _, e := range kernelEndpoints {
				for _, a := range e.IPs {
					x.people = append(x.people, check.Subject{Labels: e.Labels, Addr: a})
				}
			}
			for _, a := range addrs("192.0.2.1", "192.0.2.255", "192.0.3.1", "10.1.0.9", "2001:db8:1::1", "2001:db8:2::1", "fd02::1") {
				x.people = append(x.people, check.Subject{Addr: a})
			}
			about, err := x.about()
			if err != nil {
				t.Fatal(err)
			}
			x.draw(numbers(1), about, 2000)
			x.hold(t, inMemory)
			x.hold(t, func(x *trial) string { return inKernel(t, x) })
			if n := len(x.forwarded()); x.allowed == 0 || x.allowed == len(x.probes) || n < 500 {
				t.Errorf("%d of %d allowed, %d packets: they prove little", x.allowed, len(x.probes), n)
			}
		})
	}
}

// The same policy and endpoints give the same text.
func TestNftablesIsDeterministic(t *testing.T) {
	p, problem := readFiles([]string{kernelPolicy})
	if problem != "" {
		t.Fatal(problem)
	}
	texts := map[string]bool{}
	for range 20 {
		text, err := analyze.Nftables(p, kernelEndpoints)
		if err != nil {
			t.Fatal(err)
		}
		texts[text] = true
	}
	if len(texts) != 1 {
		t.Errorf("%d texts", len(texts))
	}
}
