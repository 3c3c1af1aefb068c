package analyze_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
)

// Between services the matrix says "any" where eval allows everything, nothing
// where it allows nothing, and something else where it does neither.
func TestMatrixSaysWhatEvalSays(t *testing.T) {
	kinds := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		p := must(t, text)
		m, err := analyze.MatrixOf(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		every, err := analyze.EveryPair(p)
		if err != nil {
			t.Fatal(err)
		}
		for i, from := range m.Ends {
			for j, to := range m.Ends {
				if got, want := m.Cells[i][j].Text(), every[i][j].Text(); got != want {
					t.Fatalf("%s -> %s: %q; if every pair is asked %q\n%s", from.Name, to.Name, got, want, text)
				}
			}
		}
		for i, from := range m.Ends {
			for j, to := range m.Ends {
				if from.Kind != "service" || to.Kind != "service" {
					continue
				}
				a, none := p.Subject(from.Name)
				b, neither := p.Subject(to.Name)
				if none != nil || neither != nil {
					continue // no endpoint has exactly what the service asks for
				}
				got := eval.Ask(p, a, b, []policy.Port{{Proto: policy.AnyProto, SrcHi: 65535, DstHi: 65535}})
				want := "some"
				switch {
				case got.Allow:
					want = "any"
				case !got.Part:
					want = ""
				}
				kinds[want]++
				if text := m.Cells[i][j].Text(); want != "some" && text != want || want == "some" && (text == "" || text == "any") {
					t.Fatalf("%s -> %s: %q, want %q\n%s", from.Name, to.Name, text, want, text)
				}
			}
		}
	})
	if kinds["any"] == 0 || kinds["some"] == 0 || kinds[""] == 0 {
		t.Errorf("drawn: %v", kinds)
	}
}

// A network of two minds is said to be, and what all of it may is what is
// printed.
func TestMatrixOfANetworkInParts(t *testing.T) {
	p := must(t, `version = 1
[services.web]
labels = { tier = "web" }
[networks.office]
cidrs = ["192.0.2.0/24", "2001:db8:1::/48"]
[networks.printers]
cidrs = ["192.0.2.64/26"]
[[rules]]
name = "office-to-web"
allow = { from = ["office"], to = ["web"], ports = ["tcp/443", "tcp/80", "icmp"] }
[[rules]]
name = "printers-not-plain"
deny = { from = ["printers"], to = ["web"], ports = ["tcp/80"] }
`)
	m, err := analyze.MatrixOf(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) int {
		return slices.IndexFunc(m.Ends, func(e analyze.End) bool { return e.Name == name })
	}
	for _, c := range []struct{ from, to, want string }{
		{"office", "web", "icmp tcp/443 part"}, {"printers", "web", "icmp4 tcp/443"}, {"web", "office", ""}, {"outside", "web", ""}, {"web", "web", ""},
	} {
		if got := m.Cells[at(c.from)][at(c.to)].Text(); got != c.want {
			t.Errorf("%s -> %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

// A test covers the rule that decides it, and not the one that is beaten.
func TestCoverage(t *testing.T) {
	p := must(t, `version = 1
[services.a]
labels = { n = "a" }
[[rules]]
name = "all"
allow = { from = ["a"], to = ["a"], ports = ["tcp/1-10"] }
[[rules]]
name = "beaten"
allow = { from = ["a"], to = ["a"], ports = ["tcp/5"] }
[[rules]]
name = "not-five"
deny = { from = ["a"], to = ["a"], ports = ["tcp/5"] }
[[rules]]
name = "strange"
allow = { from = ["a"], to = ["a"], ports = ["gre"] }
[[tests]]
name = "five"
from = "a"
to = "a"
port = "tcp/5"
expect = "deny"
[[tests]]
name = "other"
from = "a"
to = "a"
port = "ip/99"
expect = "deny"
`)
	c, err := analyze.Cover(p, func(t *check.Test) []int64 { return []int64{1} })
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Covered(); got != 1 || c.Percent() != 25 || c.Default != 1 || c.Rules[2].Tests != 1 {
		t.Errorf("%d covered, %d %%, default %d, %v", got, c.Percent(), c.Default, c.Rules)
	}
}

// The steps of an explanation decide as eval does, end by end: a step matches
// where eval says so, and none that is asked before the one that decides matches
// without being a pass.
func TestExplainEndsWhereEvalDecides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		p := must(t, text).At(1)
		for _, x := range probes(t, p) {
			_, by := eval.Decide(p, x.from, x.to, x.flow)
			var decided, left *check.Rule
			for i, chain := range analyze.Explain(p, analyze.Packet{From: x.from, To: x.to, Flow: x.flow}) {
				if i > 0 && (decided == nil || !decided.Allow) {
					t.Fatalf("%+v: the other end is asked although one denies\n%s", x, text)
				}
				decided, left = nil, decided
				for _, s := range chain.Steps {
					if s.Rule.Dormant && !s.Decides && !s.Would {
						continue
					}
					matched := eval.Matches(s.Rule, max(chain.End, policy.Egress), x.from, x.to, x.flow)
					if matched != s.Matches() || matched && !s.Decides && !s.After && !s.Rule.Pass && !s.Rule.Audit {
						t.Fatalf("%+v of %+v, decided by %v\n%s", s, x, by, text)
					}
					if s.Decides {
						decided = s.Rule
					}
				}
			}
			if by != nil && by == left && by.Stateless && decided.Allow && !decided.Stateless {
				decided = by // of two that allow it is the one that wants no session that is named
			}
			if decided != by {
				t.Fatalf("%+v: decided by %v, want %v\n%s", x, decided, by, text)
			}
		}
	})
}

// Who may something towards anybody meets everybody: where these are too many pairs
// that is said before the first is asked. One scope of them is asked for all the same.
func TestAMatrixHasABound(t *testing.T) {
	var b strings.Builder
	b.WriteString("version = 1\n")
	for i := range 2048 {
		fmt.Fprintf(&b, "[services.s%d]\nlabels = { app = \"a%d\" }\n", i, i)
	}
	text := b.String()
	all := must(t, text+"[[rules]]\nname = \"all\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/1\"] }\n")
	if _, err := analyze.MatrixOf(all, nil); err == nil || !strings.Contains(err.Error(), "more than 4194304 pairs") || !strings.Contains(err.Error(), "--scope") {
		t.Errorf("error %v", err)
	}
	m, err := analyze.MatrixOf(all, func(e analyze.End) bool { return e.Name == "outside" })
	if err == nil || !strings.Contains(err.Error(), "more than 4194304 pairs") {
		t.Errorf("whom outside meets, which is everybody: %v, %v", m, err)
	}
	none, err := analyze.MatrixOf(must(t, text), nil)
	if err != nil || len(none.Ends) != 2049 {
		t.Errorf("error %v", err)
	}
}

// A few services of ten thousand may a few: the matrix is asked of these pairs alone,
// and endpoints at addresses of networks, ten million kinds, are not told apart.
func TestMatrixOf10000ServicesAnd1000Networks(t *testing.T) {
	var b strings.Builder
	b.WriteString("version = 1\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "[services.s%d]\nlabels = { app = \"a%d\" }\n", i, i)
	}
	for i := range 1_000 {
		fmt.Fprintf(&b, "[networks.n%d]\ncidrs = [\"10.%d.%d.0/24\"]\n", i, i/250, i%250)
	}
	for i := range 10_000 {
		fmt.Fprintf(&b, "[[rules]]\nname = \"r%d\"\nallow = { from = [\"s%d\", \"n%d\"], to = [\"s%d\"], ports = [\"tcp/%d\"] }\n", i, i, i%1000, (i+1)%10_000, i%7+1)
	}
	m, err := analyze.MatrixOf(must(t, b.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	pairs := 0
	m.Each(func(from, to int, a analyze.Allowed) {
		x, y := m.Ends[from], m.Ends[to]
		i, at := 0, strings.TrimLeft(x.Name, "sn")
		if _, err := fmt.Sscan(at, &i); err != nil {
			t.Fatal(err)
		}
		to, port := 0, 0
		if _, err := fmt.Sscanf(y.Name+" "+a.Text(), "s%d tcp/%d", &to, &port); err != nil || a.Part {
			t.Fatalf("%s -> %s: %s", x.Name, y.Name, a.Text())
		}
		from = (to + 9_999) % 10_000
		if x.Kind == "network" && from%1000 != i || x.Kind == "service" && from != i || port != from%7+1 {
			t.Fatalf("%s -> %s: %s", x.Name, y.Name, a.Text())
		}
		pairs++
	})
	if pairs != 20_000 {
		t.Errorf("%d pairs", pairs)
	}
}
