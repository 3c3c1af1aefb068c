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
		s, err := analyze.New(p)
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.Matrix()
		if err != nil {
			t.Fatal(err)
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
	s, err := analyze.New(p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Matrix()
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

// A table that nobody could look at is refused: a cell a pair would fill the
// memory.
func TestAMatrixHasABound(t *testing.T) {
	var b strings.Builder
	b.WriteString("version = 1\n")
	for i := range analyze.MaxEnds + 1 {
		fmt.Fprintf(&b, "[services.s%d]\nlabels = { app = \"a%d\" }\n", i, i)
	}
	s, err := analyze.New(must(t, b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Matrix(); err == nil || !strings.Contains(err.Error(), "2001 services and networks is more than the 2000") {
		t.Errorf("error %v", err)
	}
}
