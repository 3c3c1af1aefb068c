package analyze_test

import (
	"fmt"
	"strings"
	"testing"

	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
)

// manyServices is a policy of n services of four tiers, five rules each, a few
// networks and a deny for everybody.
func manyServices(n int) string {
	var b strings.Builder
	b.WriteString("version = 1\n")
	for i := range n {
		fmt.Fprintf(&b, "[services.s%d]\nlabels = { app = \"a%d\", tier = \"t%d\" }\n", i, i/4, i%4)
	}
	for i := range 3 {
		fmt.Fprintf(&b, "[networks.n%d]\ncidrs = [\"192.0.%d.0/24\", \"2001:db8:%d::/48\"]\n", i, i, i)
		fmt.Fprintf(&b, "[[rules]]\nname = \"in%d\"\nallow = { from = [\"n%d\"], to = [\"s%d\"], ports = [\"tcp/443\"] }\n", i, i, i)
	}
	for i := range n {
		for j := range 5 {
			fmt.Fprintf(&b, "[[rules]]\nname = \"r%d-%d\"\nallow = { from = [\"s%d\"], to = [\"s%d\"], ports = [\"tcp/%d\"] }\n", i, j, i, (i+j*j+1)%n, 1000+j)
		}
	}
	b.WriteString("[[rules]]\nname = \"no-telnet\"\ndeny = { from = [\"any\"], to = [\"any\"], ports = [\"tcp/23\"] }\n")
	return b.String()
}

// BenchmarkDiff compares policies that differ in a rule: where they differ, and
// whole, as if all might.
func BenchmarkDiff(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		text := manyServices(n)
		more := text + "[[rules]]\nname = \"more\"\nallow = { from = [\"any\"], to = [\"s7\"], ports = [\"tcp/80\"] }\n"
		old, new := must(b, text), must(b, more)
		for name, diff := range map[string]func(_, _ *check.Policy) (*analyze.Difference, error){"changed": analyze.Diff, "whole": analyze.DiffWhole} {
			b.Run(fmt.Sprintf("services=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if d, err := diff(old, new); err != nil || len(d.Allowed) != 1 {
						b.Fatal(d, err)
					}
				}
			})
		}
	}
}

// Where more rules have changed than are held against all others the whole
// policies are compared, and nothing is lost.
func TestDiffOfManyChanges(t *testing.T) {
	text := manyServices(100)
	d, err := analyze.Diff(must(t, text), must(t, strings.ReplaceAll(text, "tcp/1000", "tcp/999")))
	if err != nil || len(d.Allowed) == 0 || len(d.Denied) == 0 {
		t.Fatalf("%v, %v", d, err)
	}
	if got := d.Allowed[0].Ports; len(got) != 1 || got[0] != "tcp/999" {
		t.Errorf("ports %v", got)
	}
}

// BenchmarkReach asks who can reach a service: of the rules that can meet it,
// and of the whole space.
func BenchmarkReach(b *testing.B) {
	p := must(b, manyServices(1000))
	to, problem := p.Subject("s7")
	if problem != nil {
		b.Fatal(problem)
	}
	for name, reach := range map[string]func() ([]analyze.Route, error){
		"relevant": func() ([]analyze.Route, error) { return analyze.Reach(p, analyze.Question{To: &to}) },
		"whole": func() ([]analyze.Route, error) {
			s, err := analyze.New(p)
			return s.Reach(analyze.Question{To: &to}), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if r, err := reach(); err != nil || len(r) == 0 {
					b.Fatal(r, err)
				}
			}
		})
	}
}

// Selectors on labels that have nothing to do with each other multiply: that is
// refused, and the labels are named.
func TestTooManyClassesAreRefused(t *testing.T) {
	text, names := "version = 1\n", []string{}
	for i := range 20 {
		text += fmt.Sprintf("[services.s%d]\nlabels = { k%d = \"v\" }\n", i, i)
		names = append(names, fmt.Sprintf("\"s%d\"", i))
	}
	text += "[[rules]]\nname = \"r\"\nallow = { from = [" + strings.Join(names, ", ") + "], to = [\"any\"], ports = [\"any\"] }\n"
	_, err := analyze.New(must(t, text))
	if err == nil || !strings.Contains(err.Error(), "k0 (services s0)") {
		t.Errorf("error %v", err)
	}
}

// Ports and source ports that would cut each other into too many pieces are
// refused, and say how many there are; the same ports without are not.
func TestTooManyPiecesAreRefused(t *testing.T) {
	policyOf := func(sources int) *check.Policy {
		var b strings.Builder
		b.WriteString("version = 1\n[[rules]]\nname = \"ports\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [")
		for i := range 1100 {
			fmt.Fprintf(&b, "\"tcp/%d\", ", 2*i)
		}
		b.WriteString("] }\n")
		for i := range sources {
			fmt.Fprintf(&b, "[[rules]]\nname = \"r%d\"\nallow = { from = [\"any\"], to = [\"any\"], ports = [\"tcp\"], source_ports = [\"%d\"] }\n", i, 2*i)
		}
		return must(t, b.String())
	}
	if _, err := analyze.New(policyOf(10)); err != nil {
		t.Error(err)
	}
	if _, err := analyze.Nftables(policyOf(250), nil); err == nil {
		t.Error("the export takes them")
	}
	if _, err := analyze.New(policyOf(250)); err == nil || !strings.Contains(err.Error(), "1101 ranges of ports of protocol 6 and 250 of its source ports") {
		t.Errorf("error %v", err)
	}
}
