package compile

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/eval"
	"bulkhead/policyc/internal/diag"
)

// city writes a policy of the size that one may meet: services that are told
// apart by a label of their own and share two, rules between them on a few
// ports each, a network for every tenth service.
func city(services, rules int) []Source {
	r := rand.New(rand.NewPCG(1, uint64(rules)))
	var b strings.Builder
	b.WriteString("version = 1\n")
	for i := range services {
		fmt.Fprintf(&b, "[services.s%05d]\nlabels = { app = \"app%d\", tier = \"tier%d\" }\n", i, i/4, i%4)
	}
	networks := services / 10
	for i := range networks {
		fmt.Fprintf(&b, "[networks.n%05d]\ncidrs = [\"10.%d.%d.0/24\"]\n", i, i>>8, i&255)
	}
	side := func() string {
		if networks > 0 && r.IntN(20) == 0 {
			return fmt.Sprintf("n%05d", r.IntN(networks))
		}
		return fmt.Sprintf("s%05d", r.IntN(services))
	}
	for i := range rules {
		verdict := "allow"
		if r.IntN(10) == 0 {
			verdict = "deny"
		}
		fmt.Fprintf(&b, "[[rules]]\nname = \"r%06d\"\n%s = { from = [%q], to = [%q], ports = [\"tcp/%d\", \"udp/%d-%d\"] }\n",
			i, verdict, side(), side(), 1+r.IntN(5000), 6000+i%100, 6100+i%100)
	}
	return []Source{{Name: "city.toml", Text: []byte(b.String())}}
}

// sizes are from a small firm to a city.
var sizes = []struct{ services, rules int }{{1_000, 1_000}, {1_000, 10_000}, {10_000, 100_000}}

// BenchmarkCompile is a whole build: text to table, and the table back.
func BenchmarkCompile(b *testing.B) {
	for _, size := range sizes {
		sources := city(size.services, size.rules)
		b.Run(fmt.Sprintf("rules=%d", size.rules), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(sources[0].Text)))
			for b.Loop() {
				rs, findings := Compile(sources, Options{})
				if findings.Failed() {
					b.Fatal("it does not compile")
				}
				data, err := policy.Encode(rs)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := policy.Decode(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size.rules), "ns/rule")
		})
	}
}

// BenchmarkBuildAgain is a build after one rule of 100,000 was edited, whole and from
// what the build before kept, in one run.
func BenchmarkBuildAgain(b *testing.B) {
	sources := city(10_000, 100_000)
	first, _, err := Build(sources, Options{Tool: "t"})
	if err != nil || first.Why != "" {
		b.Fatal(err, first.Why)
	}
	edited := []Source{{Name: sources[0].Name, Text: bytes.Replace(sources[0].Text, []byte("[[rules]]\nname = \"r050000\""), []byte("[[rules]]\nowner = \"me\"\nname = \"r050000\""), 1)}}
	for _, way := range []struct {
		name string
		o    Options
	}{{"whole", Options{}}, {"kept", Options{Tool: "t", Kept: bytes.Join(first.Kept, nil)}}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			start := processorTime(b)
			for b.Loop() {
				if t, _, err := Build(edited, way.o); err != nil || len(t.Rules.Rules) != 100_000 || way.o.Kept != nil && t.Reused < 99_000 {
					b.Fatal(err)
				}
			}
			b.ReportMetric((processorTime(b)-start)/float64(b.N), "cpu-ms/op")
		})
	}
}

// What a rule costs to compile does not grow with the number of rules: a pass
// that is quadratic would make it tenfold. It is held in time of the processors,
// the least of several: that of others on the machine is not in it.
func TestCompileIsNearLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it compiles 55,000 rules")
	}
	small, large := city(1_000, 1_000), city(10_000, 10_000)
	least, most := leastTime(t, small, 5)/1_000, leastTime(t, large, 5)/10_000
	t.Logf("%.1f us a rule of 1,000, %.1f of 10,000", 1e3*least, 1e3*most)
	if most > 4*least {
		t.Errorf("a rule costs %.1f us among 1,000 and %.1f among 10,000", 1e3*least, 1e3*most)
	}
}

// leastTime is the least that one of several builds takes, in ms of the processors.
func leastTime(t *testing.T, sources []Source, times int) float64 {
	t.Helper()
	least := math.Inf(1)
	for range times {
		runtime.GC()
		start := processorTime(t)
		if _, findings := Compile(sources, Options{}); findings.Failed() {
			t.Fatal("it does not compile")
		}
		least = min(least, processorTime(t)-start)
	}
	return least
}

// Tests that expect a denial do not each work the whole policy out anew.
func TestTestsAreNearLinear(t *testing.T) {
	sources := city(2_000, 2_000)
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "[[tests]]\nname = \"t%d\"\nfrom = \"s%05d\"\nto = \"s%05d\"\nport = \"sctp/9\"\nexpect = \"deny\"\n", i, i, i+1)
	}
	without := leastTime(t, sources, 3)
	sources[0].Text = append(sources[0].Text, b.String()...)
	with := leastTime(t, sources, 3)
	t.Logf("%.1f ms without tests, %.1f with 400", without, with)
	if with > 10*without {
		t.Errorf("400 tests make a build of %.1f ms one of %.1f", without, with)
	}
}

// BenchmarkTests is 1,000 of a policy's own tests: asked of the rules that name
// both ends, the index made anew, and of all rules, of which a part is timed.
func BenchmarkTests(b *testing.B) {
	sources := city(10_000, 100_000)
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "[[tests]]\nname = \"t%d\"\nfrom = \"s%05d\"\nto = \"s%05d\"\nport = \"sctp/9\"\nexpect = \"deny\"\n", i, i, i+1)
	}
	sources[0].Text = append(sources[0].Text, text.String()...)
	p, findings := Read(sources)
	if findings.Failed() {
		b.Fatal("it does not compile")
	}
	b.Run("relevant", func(b *testing.B) {
		for b.Loop() {
			list := &diag.List{}
			if runTests(p, 0, list); list.Failed() {
				b.Fatal("a test failed")
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/test")
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			for _, t := range p.Tests[:10] {
				if eval.Ask(p, t.From, t.To, t.Ports).Allow {
					b.Fatal("a test failed")
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10, "ns/test")
	})
}

// Each of 20,000 wrong names is reported, in rules and in tests, and the right
// one is looked for of the first hundred: to look for all of them took a minute.
func TestManyWrongNamesAreReportedAtOnce(t *testing.T) {
	sources := city(2_000, 0)
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "[[rules]]\nname = \"w%d\"\nallow = { from = [\"s%05dx\"], to = [\"any\"], ports = [\"tcp/1\"] }\n", i, i)
		fmt.Fprintf(&b, "[[tests]]\nname = \"w%d\"\nfrom = \"t%05dx\"\nto = \"s00001\"\nport = \"tcp/1\"\nexpect = \"deny\"\n", i, i)
	}
	sources[0].Text = append(sources[0].Text, b.String()...)
	_, findings := Check(sources)
	meant := 0
	for _, f := range findings.All() {
		if f.Suggest != "" {
			meant++
		}
	}
	if findings.Errors() != 20_000 || meant == 0 || meant > 100 {
		t.Errorf("%d errors, %d with the right name", findings.Errors(), meant)
	}
}
