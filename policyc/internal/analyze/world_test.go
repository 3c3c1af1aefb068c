package analyze_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/check"
)

// labelSets are what endpoints and services are drawn from: some hold others,
// some overlap, some exclude each other.
var labelSets = []map[string]string{{"a": "1"}, {"b": "1"}, {"a": "1", "b": "1"}, {"a": "2"}, {"b": "1", "c": "2"}, {"c": "3"}}

// blocks lie in each other and at the ends of both families.
var blocks = []string{"10.0.0.0/24", "10.0.0.0/25", "10.0.0.66/32", "10.0.0.0/8", "0.0.0.0/0", "255.255.255.255/32", "fd00::/16", "fd00::/64", "::/0"}

var portWords = []string{"any", "tcp", "tcp/0", "tcp/65535", "tcp/80", "tcp/80-90", "tcp/85-100", "udp/53", "gre", "icmp", "icmp/echo", "icmp4/3/4", "icmp6/128/0", "ip/253"}

// ported are those that source ports can stand beside, and sourceWords are these:
// their edges meet, and are at the ends of the range.
var (
	ported      = []string{"tcp", "tcp/0", "tcp/80", "tcp/80-90", "tcp/85-100", "udp/53", "udp"}
	sourceWords = []string{"0", "65535", "53", "1024-65535", "50-60", "55-1023"}
)

// drawOn draws ports, and perhaps source ports.
func drawOn(t *rapid.T) string {
	if rapid.IntRange(0, 2).Draw(t, "sourced") > 0 {
		return "ports = [" + drawSome(t, portWords) + "]"
	}
	return "ports = [" + drawSome(t, ported) + "], source_ports = [" + drawSome(t, sourceWords) + "]"
}

// drawPolicy draws a policy of a few services, networks and rules.
func drawPolicy(t *rapid.T) string {
	text, sets := "version = 1\n", []string{"any", "host", "outside"}
	for i := range rapid.IntRange(1, 4).Draw(t, "services") {
		sets = append(sets, fmt.Sprintf("s%d", i))
		text += fmt.Sprintf("[services.s%d]\nlabels = { %s }\n", i, inline(rapid.SampledFrom(labelSets).Draw(t, "labels")))
		text += rapid.SampledFrom([]string{"", "", "match = [\"not exists d\"]\n", "match = [\"c in (2, 4)\"]\n", "any = [{ match = [\"exists d\"] }, { labels = { b = \"1\" } }]\n"}).Draw(t, "match")
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "networks") {
		sets = append(sets, fmt.Sprintf("n%d", i))
		block := rapid.SampledFrom(blocks[2:]).Draw(t, "block")
		text += fmt.Sprintf("[networks.n%d]\ncidrs = [%q]\n", i, block)
		if block == "10.0.0.0/8" {
			text += "except = [\"10.0.0.0/25\"]\n"
		}
	}
	for _, tier := range []string{"security", "baseline"} {
		if word := rapid.SampledFrom([]string{"", "", "", "pass", "deny", "allow"}).Draw(t, tier); word != "" {
			text += fmt.Sprintf("[tiers.%s]\ndefault = %q\n", tier, word)
		}
	}
	text += drawRules(t, sets, 5)
	text += "[services.p0]\nlabels = { a = \"1\" }\nports = { own = \"tcp/80\" }\n[services.p1]\nlabels = { b = \"1\" }\nports = { own = \"tcp/85-100\" }\n"
	text += fmt.Sprintf("[[rules]]\nname = \"by name\"\n%sallow = { from = [%s], to = [\"p0\", \"p1\"], ports = [\"own\"]%s }\n", rapid.SampledFrom(ranks).Draw(t, "rank"), drawSome(t, sets),
		rapid.SampledFrom([]string{"", "", `, source_ports = ["53"]`}).Draw(t, "own sources"))
	if rapid.IntRange(0, 2).Draw(t, "scoped") == 0 {
		text += nextFile + "version = 1\n[scope]\nname = \"east\"\nlabels = { b = \"1\" }\n" + drawScoped(t, sets) + nextFile + "version = 1\n"
	}
	return text
}

// nextFile stands between the files of a policy.
const nextFile = "# next file\n"

// drawScoped draws a rule of a scope that speaks for somebody.
func drawScoped(t *rapid.T, sets []string) string {
	verdict := rapid.SampledFrom([]string{"allow", "allow", "deny", "pass"}).Draw(t, "verdict")
	own := rapid.SampledFrom([]string{"any", "east"}).Draw(t, "own")
	return fmt.Sprintf("[[rules]]\nname = \"own\"\n%s = { from = [%q, %q], to = [%s], %s }\n",
		verdict, own, "s0", drawSome(t, sets), drawOn(t))
}

// ranks are what a rule can state beside its verdict: mostly nothing.
var ranks = []string{"", "", "", "tier = \"security\"\n", "tier = \"baseline\"\n", "priority = 10\n", "direction = \"egress\"\n", "direction = \"ingress\"\n"}

// drawMarks draws what a rule says beside its verdict: mostly nothing. Second 1
// is the time of the tests.
func drawMarks(t *rapid.T, verdict string) string {
	marks := []string{"", "", "", "valid = { from = 1970-01-01T00:00:05Z }\n", "valid = { until = 1970-01-01T00:00:01Z }\n"}
	switch verdict {
	case "deny":
		marks = append(marks, "audit = true\n")
	case "allow":
		marks = append(marks, "stateless = true\n")
	}
	return rapid.SampledFrom(marks).Draw(t, "marks")
}

func drawRules(t *rapid.T, sets []string, most int) string {
	text := ""
	for i := range rapid.IntRange(0, most).Draw(t, "rules") {
		verdict := rapid.SampledFrom([]string{"allow", "allow", "allow", "deny", "deny", "pass"}).Draw(t, "verdict")
		text += fmt.Sprintf("[[rules]]\nname = \"r%d\"\n%s%s = { from = [%s], to = [%s], %s }\n",
			i, rapid.SampledFrom(ranks).Draw(t, "rank")+drawMarks(t, verdict), verdict, drawSome(t, sets), drawSome(t, sets), drawOn(t))
	}
	return text
}

func drawSome(t *rapid.T, from []string) string {
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 2, rapid.ID[string]).Draw(t, "some")
	return `"` + strings.Join(some, `", "`) + `"`
}

func inline(labels map[string]string) string {
	var out []string
	for k, v := range labels {
		out = append(out, fmt.Sprintf("%s = %q", k, v))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// must reads a policy.
func must(t interface{ Fatal(...any) }, text string) *check.Policy {
	var sources []compile.Source
	for i, file := range strings.Split(text, nextFile) {
		sources = append(sources, compile.Source{Name: fmt.Sprintf("p%d.toml", i), Text: []byte(file)})
	}
	p, findings := compile.Read(sources)
	if findings.Failed() {
		var out strings.Builder
		_ = findings.Render(&out)
		t.Fatal(out.String() + text)
	}
	return p
}

// probes are connections of people that no analysis has heard of: labels that
// overlap, addresses at the edges of blocks and beside them, ports likewise.
func probes(t *rapid.T, policies ...*check.Policy) []packet {
	var addrs []netip.Addr
	for _, b := range blocks {
		p := netip.MustParsePrefix(b)
		addrs = append(addrs, p.Addr().Prev(), p.Addr(), p.Addr().Next())
	}
	addrs = append(addrs, netip.MustParseAddr("10.0.0.128"), netip.MustParseAddr("10.0.1.0"), netip.MustParseAddr("192.0.2.1"))
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return !a.IsValid() || a.Is4In6() })
	flows := []eval.Flow{{Proto: 0}, {Proto: 1, Dst: 0x0800}, {Proto: 1, Dst: 0x0304}, {Proto: 58, Dst: 0x8000}, {Proto: 6}, {Proto: 47}, {Proto: 254}}
	for _, p := range policies {
		for _, r := range p.Rules {
			for _, q := range r.AllPorts() {
				if q.Proto != policy.AnyProto {
					flows = append(flows, eval.Flow{Proto: uint8(q.Proto), Dst: q.DstLo - 1}, eval.Flow{Proto: uint8(q.Proto), Dst: q.DstHi}, eval.Flow{Proto: uint8(q.Proto), Dst: q.DstHi + 1})
				}
			}
		}
	}
	labels := append([]map[string]string{nil, {}, {policy.HostLabel: "true"}, {policy.HostLabel: "true", "b": "1"}, {"a": "1", "b": "1", "c": "2", "d": "9"}, {"a": "7"}}, labelSets...)
	who := func(name string) check.Subject {
		return check.Subject{Labels: rapid.SampledFrom(labels).Draw(t, name), Addr: rapid.SampledFrom(addrs).Draw(t, name+" at")}
	}
	var out []packet
	for range 60 {
		p := packet{who("from"), who("to"), rapid.SampledFrom(flows).Draw(t, "flow")}
		if p.flow.Proto == 6 || p.flow.Proto == 17 {
			p.flow.Src = rapid.SampledFrom([]uint16{0, 1, 49, 50, 53, 54, 55, 60, 61, 1023, 1024, 65534, 65535}).Draw(t, "source port")
		}
		if p.from.Addr.Is4() == p.to.Addr.Is4() && !(p.flow.Proto == 1 && p.from.Addr.Is6()) && !(p.flow.Proto == 58 && p.from.Addr.Is4()) {
			out = append(out, p)
		}
	}
	return out
}

type packet struct {
	from, to check.Subject
	flow     eval.Flow
}

func (p packet) allowed(by *check.Policy) bool {
	allow, _ := eval.Decide(by, p.from, p.to, p.flow)
	return allow
}

// stateless tells whether what is allowed has no session.
func (p *packet) stateless(by *check.Policy) bool {
	_, rule := eval.Decide(by, p.from, p.to, p.flow)
	return rule.Stateless
}
