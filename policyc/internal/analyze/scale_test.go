package analyze_test

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

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

// BenchmarkLint is lint of a whole policy, five rules a service.
func BenchmarkLint(b *testing.B) {
	for _, n := range []int{200, 2000, 20000} {
		p := must(b, manyServices(n))
		b.Run(fmt.Sprintf("rules=%d", len(p.Rules)), func(b *testing.B) {
			for b.Loop() {
				if found, err := analyze.Lint(p, 1); err != nil || len(found) == 0 {
					b.Fatal(found, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(p.Rules)), "ns/rule")
		})
	}
}

// BenchmarkBroad looks for what is too broad among 100,000 rules: in one round,
// and as it was, in a round for each rule, of which some are timed.
func BenchmarkBroad(b *testing.B) {
	p := must(b, manyServices(20000))
	s, err := analyze.New(p)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("one_round", func(b *testing.B) {
		measure := analyze.MeasureOf(s)
		for b.Loop() {
			measure()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(p.Rules)), "ns/rule")
	})
	b.Run("a_round_each", func(b *testing.B) {
		const some = 100
		for b.Loop() {
			if analyze.MeasureOneByOne(s, some) > 0 {
				b.Fatal("a rule is too broad")
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/some, "ns/rule")
	})
}

// What lint takes for a rule does not grow with the rules.
func TestLintIsNearLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it lints 10,000 rules")
	}
	each := func(n int) float64 {
		p, best := must(t, manyServices(n)), time.Hour
		for range 3 {
			runtime.GC()
			start := ownTime(t)
			if _, err := analyze.Lint(p, 1); err != nil {
				t.Fatal(err)
			}
			best = min(best, ownTime(t)-start)
		}
		return float64(best.Nanoseconds()) / float64(len(p.Rules))
	}
	few, many := each(200), each(4000)
	t.Logf("%.1f us a rule of 1,000, %.1f of 20,000", few/1e3, many/1e3)
	if many > 6*few {
		t.Errorf("a rule takes %.1f us among 1,000 and %.1f among 20,000", few/1e3, many/1e3)
	}
}

// ownTime is how long the process has run on any CPU.
func ownTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
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
