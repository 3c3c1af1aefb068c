package replay

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/flows"
	"bulkhead/policyc/internal/endpoints"
)

const source = `version = 1
[services.web]
labels = { tier = "web" }
[services.db]
labels = { tier = "db" }
[networks.office]
cidrs = ["192.0.2.0/24"]
except = ["192.0.2.66/32"]
[[rules]]
name = "web-to-db"
allow = { from = ["web"], to = ["db"], ports = ["tcp/5432-5440", "icmp/echo"] }
[[rules]]
name = "office"
allow = { from = ["office"], to = ["web", "db"], ports = ["tcp", "udp/53"] }
[[rules]]
name = "no-telnet"
deny = { from = ["any"], to = ["any"], ports = ["tcp/23"] }
`

// ranked has rules for one end, a pass, and tiers with defaults.
const ranked = `version = 1
[services.web]
labels = { tier = "web" }
[services.db]
labels = { tier = "db" }
[networks.office]
cidrs = ["192.0.2.0/24"]
[tiers.security]
default = "pass"
[tiers.baseline]
default = "deny"
[[rules]]
name = "web-may-leave"
direction = "egress"
allow = { from = ["web"], to = ["any"], ports = ["tcp", "udp/53"] }
[[rules]]
name = "db-takes-web"
direction = "ingress"
allow = { from = ["web"], to = ["db"], ports = ["tcp/5432-5440"] }
[[rules]]
name = "office-may-leave"
direction = "egress"
allow = { from = ["office"], to = ["any"], ports = ["any"] }
[[rules]]
name = "see-telnet"
tier = "security"
priority = 10
pass = { from = ["web"], to = ["any"], ports = ["tcp/23"] }
[[rules]]
name = "no-telnet"
tier = "security"
deny = { from = ["any"], to = ["any"], ports = ["tcp/23"] }
[[rules]]
name = "telnet"
allow = { from = ["web", "office"], to = ["db", "web"], ports = ["tcp/23", "tcp/22"] }
`

// marked has a pass, rules of one end, an audit, stateless rules and times.
const marked = source + `[[rules]]
name = "leave-it"
priority = 1
pass = { from = ["web"], to = ["any"], ports = ["tcp/22", "udp"] }
[[rules]]
name = "suspect"
priority = 2
audit = true
deny = { from = ["web"], to = ["db"], ports = ["tcp", "icmp"] }
[[rules]]
name = "out"
tier = "baseline"
direction = "egress"
stateless = true
allow = { from = ["any"], to = ["any"], ports = ["any"] }
[[rules]]
name = "in"
tier = "baseline"
direction = "ingress"
allow = { from = ["any"], to = ["db"], ports = ["udp/53", "tcp/22"] }
[[rules]]
name = "over"
valid = { until = 1970-01-01T00:20:00Z }
priority = 0
deny = { from = ["any"], to = ["any"], ports = ["any"] }
`

func compiled(t testing.TB) (*compile.Policy, *policy.Ruleset) {
	t.Helper()
	return compiledFrom(t, source)
}

func compiledFrom(t testing.TB, text string) (*compile.Policy, *policy.Ruleset) {
	t.Helper()
	p, findings := compile.Check([]compile.Source{{Name: "p.toml", Text: []byte(text)}})
	if findings.Failed() {
		t.Fatal("it does not compile")
	}
	return p, compile.Lower(p, compile.Options{})
}

func who() []endpoints.Endpoint {
	a := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	return []endpoints.Endpoint{
		{Name: "w", IPs: a("10.0.0.1"), Labels: map[string]string{"tier": "web"}},
		{Name: "d", IPs: a("10.0.0.2"), Labels: map[string]string{"tier": "db", "x": "y"}},
		{Name: "desk", IPs: a("192.0.2.7"), Labels: map[string]string{"tier": "web"}},
	}
}

// sourced has rules of source ports: a flow's own decides.
const sourced = source + `
[[rules]]
name = "from-high"
priority = 1
allow = { from = ["any"], to = ["any"], ports = ["tcp/22", "udp"], source_ports = ["1024-65535", "53"] }
[[rules]]
name = "not-from-low"
priority = 0
deny = { from = ["any"], to = ["any"], ports = ["tcp"], source_ports = ["0-52"] }
`

// What the judge says of each flow the meaning of the policy says as well.
func TestJudgeAgreesWithTheMeaning(t *testing.T) {
	for _, text := range []string{source, ranked, marked, sourced} {
		judgeAgrees(t, text)
	}
}

func judgeAgrees(t *testing.T, text string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	p, rs := compiledFrom(t, text)
	const now = 1500
	p, rs = p.At(now), rs.At(now)
	j := New(rs, who())
	labels := map[string]map[string]string{}
	for _, e := range who() {
		labels[e.IPs[0].String()] = e.Labels
	}
	addrs := []string{"10.0.0.1", "10.0.0.2", "192.0.2.7", "192.0.2.8", "192.0.2.66", "198.51.100.1"}
	var allowed, denied uint64
	byRule, audits := map[string]uint64{}, map[string]uint64{}
	for range 5000 {
		src, dst := addrs[r.IntN(len(addrs))], addrs[r.IntN(len(addrs))]
		f := &flows.Flow{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: []uint8{6, 17, 1}[r.IntN(3)],
			Dport: []uint16{22, 23, 53, 5431, 5432, 5440, 5441, 8 << 8, 0}[r.IntN(9)], Sport: []uint16{0, 53, 1023, 1024, 65535}[r.IntN(5)], Count: uint64(r.IntN(3))}
		from, to := compile.Subject{Addr: f.Src, Labels: labels[src]}, compile.Subject{Addr: f.Dst, Labels: labels[dst]}
		if r.IntN(4) == 0 {
			f.SrcLabels = map[string]string{"tier": "db"}
			from.Labels = f.SrcLabels
		}
		allow, by := eval.Decide(p, from, to, eval.Flow{Proto: f.Proto, Dst: f.Dport, Src: f.Sport})
		if allow {
			allowed += f.Count
		} else {
			denied += f.Count
		}
		if by != nil {
			byRule[by.Name] += f.Count
		}
		if by := eval.WouldDeny(p, from, to, eval.Flow{Proto: f.Proto, Dst: f.Dport, Src: f.Sport}); by != nil {
			audits[by.Name] += f.Count
		}
		j.Flow(f)
		if j.Allowed != allowed || j.Denied != denied {
			t.Fatalf("%+v: the meaning allows it: %v", f, allow)
		}
	}
	for i, n := range j.Audits {
		if n != audits[rs.Rules[i].Name] {
			t.Errorf("%s would have denied %d flows, by its meaning %d", rs.Rules[i].Name, n, audits[rs.Rules[i].Name])
		}
	}
	for i, n := range j.ByRule {
		if n != byRule[rs.Rules[i].Name] {
			t.Errorf("%s decided %d flows, by its meaning %d", rs.Rules[i].Name, n, byRule[rs.Rules[i].Name])
		}
	}
}

func TestTopNamesTheNearestRule(t *testing.T) {
	_, rs := compiled(t)
	j := New(rs, who())
	flow := func(src, dst string, port uint16, n uint64) {
		j.Flow(&flows.Flow{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: 6, Dport: port, Count: n})
	}
	flow("10.0.0.1", "10.0.0.2", 5441, 7)
	flow("10.0.0.1", "10.0.0.2", 23, 9)
	flow("192.0.2.66", "10.0.0.1", 443, 2)
	flow("192.0.2.8", "10.0.0.1", 443, 100)
	got := j.Top(10)
	want := []string{"web>db tcp/23 9..9 no-telnet ", "web>db tcp/5441 7..7  web-to-db, if it used tcp/5432-5440", "192.0.2.66>web tcp/443 2..2  office, if it came from office"}
	var said []string
	for _, d := range got {
		by := ""
		if d.By != nil {
			by = d.By.Name
		}
		said = append(said, fmt.Sprintf("%s>%s %s %d..%d %s %s", d.From, d.To, d.Port, d.Count, d.AtMost, by, d.Near))
	}
	if !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	if len(j.Top(1)) != 1 {
		t.Error("more than were asked for")
	}
}

// However many kinds and ends come by, what is kept is bounded; what is most
// frequent is found, and its count lies between its bounds.
func TestMemoryIsBounded(t *testing.T) {
	_, rs := compiled(t)
	j := New(rs, nil)
	const rounds = 3 * maxKnown
	often := &flows.Flow{Src: netip.MustParseAddr("198.51.100.1"), Dst: netip.MustParseAddr("198.51.100.2"), Proto: 17, Dport: 9, Count: 1}
	for i := range rounds {
		a := netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)})
		j.Flow(&flows.Flow{Src: a, Dst: often.Dst, Proto: 17, Dport: uint16(i), Count: 1})
		if i%100 == 0 {
			j.Flow(often)
		}
	}
	if len(j.addrs) > maxKnown+2 || len(j.pairs) > maxKnown+2 || len(j.top.kinds) > maxKinds || len(j.top.order) != len(j.top.kinds) {
		t.Errorf("%d addresses, %d pairs, %d kinds are kept", len(j.addrs), len(j.pairs), len(j.top.kinds))
	}
	times := uint64((rounds + 99) / 100)
	if first := j.Top(1)[0]; first.From != "198.51.100.1" || first.Count > times || first.AtMost < times {
		t.Errorf("%+v; it came %d times", first, times)
	}
	for _, d := range j.Top(maxKinds)[1:] { // each of the others came once
		if d.Count > 1 || d.AtMost < 1 {
			t.Errorf("%+v", d)
			break
		}
	}
	if j.Denied != rounds+times {
		t.Errorf("%d denied", j.Denied)
	}
}

// A policy of rules for everybody has them in the list of every pair: the lists
// are bounded together, not only in number.
func TestRulesOfPairsAreBounded(t *testing.T) {
	rs := &policy.Ruleset{Sets: []policy.Set{{Kind: policy.KindAny, Name: "any"}}}
	for range 1 << 12 {
		rs.Rules = append(rs.Rules, policy.Rule{From: []policy.SetID{policy.Any}, To: []policy.SetID{policy.Any}})
	}
	j := New(rs, nil)
	for i := range 3 * maxKept / len(rs.Rules) {
		from := &ends{sets: []policy.SetID{policy.Any}}
		j.between(from, from)
		j.Flow(&flows.Flow{Src: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Dst: netip.MustParseAddr("10.1.0.0"), Count: 1})
	}
	if j.kept > maxKept+2*len(rs.Rules) {
		t.Errorf("%d rules are kept", j.kept)
	}
}
