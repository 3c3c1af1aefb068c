package compile

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
)

// subjects are endpoints with labels and addresses at the edges of networks.
func subjects() []Subject {
	var out []Subject
	for _, labels := range []map[string]string{nil, {"a": "1"}, {"a": "1", "b": "1"}, {"b": "1", "c": "2"}, {"a": "2"}} {
		for _, ip := range []string{"10.0.0.0", "10.0.0.255", "10.0.1.0", "9.255.255.255", "10.0.0.66", "fd00::", "fd00::1:0:0:0:1", "fcff::1"} {
			out = append(out, Subject{Labels: labels, Addr: netip.MustParseAddr(ip)})
		}
	}
	return out
}

var (
	setNames  = []string{"any", "s0", "s1", "s2", "n0", "n1"}
	portWords = []string{"any", "tcp", "tcp/0", "tcp/65535", "tcp/80", "tcp/80-90", "tcp/85-100", "udp/53", "udp", "icmp/echo", "icmp", "icmp4/3/4", "gre", "ip/255", "sctp/1-2"}
)

const prelude = `version = 1
[services.s0]
labels = { a = "1" }
[services.s1]
labels = { b = "1" }
[services.s2]
labels = { a = "1", b = "1" }
[networks.n0]
cidrs = ["10.0.0.0/24", "fd00::/16"]
except = ["10.0.0.66/32"]
[networks.n1]
cidrs = ["10.0.0.0/8"]
except = ["10.0.0.0/24"]
`

func drawRules(t *rapid.T) []string {
	words := func(from []string, label string) string {
		picked := rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, 3, rapid.ID[string]).Draw(t, label)
		return `"` + strings.Join(picked, `", "`) + `"`
	}
	var rules []string
	for i := range rapid.IntRange(0, 6).Draw(t, "rules") {
		verdict := rapid.SampledFrom([]string{"allow", "allow", "deny"}).Draw(t, "verdict")
		rules = append(rules, fmt.Sprintf("[[rules]]\nname = \"r%d\"\n%s = { from = [%s], to = [%s], ports = [%s] }\n",
			i, verdict, words(setNames, "from"), words(setNames, "to"), words(portWords, "ports")))
	}
	return rules
}

func mustCompile(t interface{ Fatal(...any) }, text string) (*Policy, *policy.Ruleset) {
	sources := []Source{{Name: "p.toml", Text: []byte(text)}}
	p, findings := Check(sources)
	if findings.Failed() {
		var out strings.Builder
		_ = findings.Render(&out)
		t.Fatal(out.String() + text)
	}
	rs, _ := Compile(sources, Options{})
	return p, rs
}

// flows are the corners of every range, and protocols that nothing names.
func flows() []eval.Flow {
	var out []eval.Flow
	for _, proto := range []uint8{1, 6, 17, 47, 58, 132, 255, 0} {
		for _, dst := range []uint16{0, 1, 2, 3, 52, 53, 54, 79, 80, 84, 85, 90, 91, 100, 101, 0x0304, 0x0800, 0x08ff, 0x0900, 0x7fff, 0x8000, 0x80ff, 65534, 65535} {
			out = append(out, eval.Flow{Proto: proto, Dst: dst})
		}
	}
	return out
}

// The meaning (eval), the list (classify.Linear over what was written and read
// back) and the tables (classify.Engine) say the same, verdict and rule.
func TestCompiledMeansWhatTheSourceMeans(t *testing.T) {
	people := subjects()
	rapid.Check(t, func(t *rapid.T) {
		p, rs := mustCompile(t, prelude+strings.Join(drawRules(t), ""))
		data, err := policy.Encode(rs)
		if err != nil {
			t.Fatal(err)
		}
		back, err := policy.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		b := identity.NewBuilder()
		ids := make([]identity.ID, len(people))
		for i, s := range people {
			ids[i] = b.ID(setsOf(back, s))
		}
		table, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		engine, err := classify.Link(back, table.AllSets())
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			from, to := rapid.IntRange(0, len(people)-1).Draw(t, "from"), rapid.IntRange(0, len(people)-1).Draw(t, "to")
			for _, f := range flows() {
				allow, by := eval.Decide(p, people[from], people[to], f)
				name := ""
				if by != nil {
					name = by.Name
				}
				lr, lv := classify.Linear{Rules: back}.Decide(setsOf(back, people[from]), setsOf(back, people[to]), f.Proto, 0, f.Dst)
				er, ev := engine.Decide(ids[from], ids[to], f.Proto, 0, f.Dst)
				if allow != (lv == policy.Allow) || ruleName(back, lr) != name || er != lr || ev != lv {
					t.Fatalf("%v -> %v %v: meant %v by %q, list %v by %q, tables %v by %q", people[from], people[to], f,
						allow, name, lv, ruleName(back, lr), ev, ruleName(back, er))
				}
			}
		}
	})
}

func setsOf(rs *policy.Ruleset, s Subject) []uint32 {
	all := slices.Concat(rs.ServicesOf(s.Labels), rs.NetworksOf(s.Addr))
	slices.Sort(all)
	var out []uint32
	for _, id := range slices.Compact(all) {
		out = append(out, uint32(id))
	}
	return out
}

func ruleName(rs *policy.Ruleset, id policy.RuleID) string {
	if id == policy.NoRule {
		return ""
	}
	return rs.Rules[id].Name
}

// A deny added allows nothing; the order of statements says nothing; a range
// cut in two says the same.
func TestWhatMustNotChangeTheMeaning(t *testing.T) {
	people := subjects()
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t)
		p, rs := mustCompile(t, prelude+strings.Join(rules, ""))
		denied, _ := mustCompile(t, prelude+strings.Join(rules, "")+"[[rules]]\nname = \"extra\"\ndeny = { from = [\"s0\"], to = [\"any\"], ports = [\"tcp/80-90\"] }\n")
		_, turned := mustCompile(t, prelude+strings.Join(reversed(rules), ""))
		if rs.SourceHash != turned.SourceHash {
			t.Fatal("the order of rules changed the policy")
		}
		_, cut := mustCompile(t, prelude+strings.ReplaceAll(strings.Join(rules, ""), `"tcp/80-90"`, `"tcp/80-84", "tcp/85-90"`))
		if rs.SourceHash != cut.SourceHash {
			t.Fatal("cutting a range in two changed the policy")
		}
		for range 20 {
			from, to := people[rapid.IntRange(0, len(people)-1).Draw(t, "from")], people[rapid.IntRange(0, len(people)-1).Draw(t, "to")]
			for _, f := range flows() {
				before, _ := eval.Decide(p, from, to, f)
				if after, _ := eval.Decide(denied, from, to, f); after && !before {
					t.Fatalf("a deny allowed %v -> %v %v", from, to, f)
				}
			}
		}
	})
}

func reversed(in []string) []string {
	out := slices.Clone(in)
	slices.Reverse(out)
	return out
}

// The same source gives the same bytes, however many threads there are, and
// 70,000 rules are no more than many.
func TestSameSourceSameBytesAt70000Rules(t *testing.T) {
	var text strings.Builder
	text.WriteString(prelude)
	for i := range 70000 {
		fmt.Fprintf(&text, "[[rules]]\nname = \"r%d\"\nallow = { from = [\"s%d\"], to = [\"n%d\"], ports = [\"tcp/%d\"] }\n", i, i%3, i%2, i%60000)
	}
	build := func(threads int) []byte {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
		_, rs := mustCompile(t, text.String())
		data, err := policy.Encode(rs)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	one, two := build(1), build(2)
	if !slices.Equal(one, two) {
		t.Error("the bytes differ")
	}
	rs, err := policy.Decode(one)
	if err != nil || len(rs.Rules) != 70000 {
		t.Errorf("%v, %v", len(rs.Rules), err)
	}
}
