package classbench

import (
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
	"bulkhead/dataplane/packet"
	"bulkhead/dataplane/policy"
)

var dir = Dir("../..")

func needData(t testing.TB) {
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no rule sets: %v; set CLASSBENCH to where they are", err)
	}
}

// set is a rule set, linked.
type set struct {
	name   string
	rs     *policy.Ruleset
	table  *identity.Table
	engine *classify.Engine
}

func load(t testing.TB, name string) *set {
	rules, err := ReadRules(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	s := &set{name: name, rs: Ruleset(rules)}
	start := time.Now()
	if s.table, err = Identities(s.rs); err != nil {
		t.Fatal(err)
	}
	identities := time.Since(start)
	start = time.Now()
	if s.engine, err = classify.Link(s.rs, s.table.AllSets()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: identities %v, link %v, %+v", name, identities.Round(time.Millisecond), time.Since(start).Round(time.Millisecond), s.engine.Stats())
	return s
}

func (s *set) ask(h Header) (policy.RuleID, policy.Verdict) {
	var src, dst packet.Addr
	SetAddr(&src, h.Src)
	SetAddr(&dst, h.Dst)
	from, _ := s.table.Identify(0, &src)
	to, _ := s.table.Identify(0, &dst)
	return s.engine.Decide(from, to, h.Proto, h.Sport, h.Dport)
}

// batch is how many headers are asked together.
const batch = 64

// askAll is ask of at most batch headers together.
func (s *set) askAll(headers []Header, answers []classify.Answer) {
	var src, dst [batch]packet.Addr
	var from, to [batch]identity.ID
	var asked [batch]classify.Header
	n := len(headers)
	for i := range headers {
		SetAddr(&src[i], headers[i].Src)
		SetAddr(&dst[i], headers[i].Dst)
	}
	s.table.IdentifyAll(0, src[:n], from[:n])
	s.table.IdentifyAll(0, dst[:n], to[:n])
	for i := range headers {
		h, q := &headers[i], &asked[i]
		q.Proto, q.Sport, q.Dport = h.Proto, h.Sport, h.Dport
	}
	s.engine.DecideAll(from[:n], to[:n], asked[:n], answers[:n])
}

// list asks the oracle.
func (s *set) list(h Header) (policy.RuleID, policy.Verdict) {
	src, dst := Addr(h.Src), Addr(h.Dst)
	from, _ := s.table.Identify(0, &src)
	to, _ := s.table.Identify(0, &dst)
	return classify.Linear{Rules: s.rs}.Decide(s.table.Sets(from), s.table.Sets(to), h.Proto, h.Sport, h.Dport)
}

var sizes = []string{"1k", "10k", "100k"}

func each(t *testing.T, test func(t *testing.T, name string)) {
	needData(t)
	for _, size := range sizes {
		for _, kind := range []string{"acl1", "fw1", "ipc1"} {
			name := fmt.Sprintf("%s_%s", kind, size)
			t.Run(name, func(t *testing.T) {
				if raced && size == "100k" {
					t.Skip("under the race detector this takes minutes; go test without -race has it")
				}
				test(t, name)
			})
		}
	}
}

// Every header of the trace gets the rule that an independent search of the
// text found, and a sample of the adversarial headers the rule of the list.
func TestFirstMatch(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := load(t, name)
		expect, err := ReadExpect(dir, name)
		if err != nil || len(expect) == 0 {
			t.Fatalf("%d expected: %v", len(expect), err)
		}
		trace, err := ReadTrace(dir, name, "trace", len(expect))
		if err != nil || len(trace) != len(expect) {
			t.Fatalf("%d headers, %d expected: %v", len(trace), len(expect), err)
		}
		for i, want := range expect {
			rule, verdict := s.ask(trace[i])
			wantVerdict := policy.Deny
			if want >= 0 {
				wantVerdict = s.rs.Rules[want].Verdict
			}
			if int(int32(rule)) != want || verdict != wantVerdict {
				t.Fatalf("header %d %+v: rule %d, verdict %d; want rule %d, %d", i, trace[i], int32(rule), verdict, want, wantVerdict)
			}
		}
		s.together(t, trace)
		s.crossed(t)
	})
}

// together holds answers in batches, of all lengths, against those alone.
func (s *set) together(t *testing.T, trace []Header) {
	var answers [batch]classify.Answer
	for n := 1; len(trace) > 0; n = n%batch + 1 {
		n := min(n, len(trace))
		s.askAll(trace[:n], answers[:])
		for i, h := range trace[:n] {
			if rule, verdict := s.ask(h); answers[i] != (classify.Answer{Rule: rule, Verdict: verdict}) {
				t.Fatalf("%+v: %+v as number %d of %d, rule %d, verdict %d alone", h, answers[i], i, n, int32(rule), verdict)
			}
		}
		trace = trace[n:]
	}
}

func (s *set) crossed(t *testing.T) {
	trace, err := ReadTrace(dir, s.name, "xtrace", 1<<15)
	if errors.Is(err, fs.ErrNotExist) {
		return // the small sets have none
	}
	if err != nil {
		t.Fatal(err)
	}
	s.together(t, trace)
	r := rand.New(rand.NewPCG(1, 1))
	for range 1_000_000 / len(s.rs.Rules) {
		h := trace[r.IntN(len(trace))]
		rule, verdict := s.ask(h)
		if want, wantVerdict := s.list(h); rule != want || verdict != wantVerdict {
			t.Fatalf("%+v: rule %d, verdict %d; the list says %d, %d", h, int32(rule), verdict, int32(want), wantVerdict)
		}
	}
}

// sink keeps results used.
var sink policy.RuleID

// BenchmarkDecide asks one header after the other, without locality. The
// policy alone is asked, of identities found before, and then the whole: two
// addresses to identities, and the policy.
func BenchmarkDecide(b *testing.B) {
	needData(b)
	for _, size := range sizes {
		for _, kind := range []string{"acl1", "fw1", "ipc1"} {
			name := kind + "_" + size
			b.Run(name, func(b *testing.B) { timeSet(b, name) })
		}
	}
}

func timeSet(b *testing.B, name string) {
	start := time.Now()
	s := load(b, name)
	built := time.Since(start)
	trace, err := ReadTrace(dir, name, "trace", 1<<16)
	if err != nil {
		b.Fatal(err)
	}
	trace = trace[:1<<(bits.Len(uint(len(trace)))-1)]
	from, to := make([]identity.ID, len(trace)), make([]identity.ID, len(trace))
	for i, h := range trace {
		src, dst := Addr(h.Src), Addr(h.Dst)
		from[i], _ = s.table.Identify(0, &src)
		to[i], _ = s.table.Identify(0, &dst)
	}
	mask := len(trace) - 1
	b.Run("identities", func(b *testing.B) {
		b.ReportMetric(float64(s.engine.Stats().Bytes)/(1<<20), "MiB")
		b.ReportMetric(float64(built.Milliseconds()), "build-ms")
		for i := range b.N {
			h := &trace[i&mask]
			sink, _ = s.engine.Decide(from[i&mask], to[i&mask], h.Proto, h.Sport, h.Dport)
		}
	})
	b.Run("identities-batch", func(b *testing.B) {
		asked, answers := make([]classify.Header, len(trace)), make([]classify.Answer, batch)
		for i, h := range trace {
			asked[i] = classify.Header{Proto: h.Proto, Sport: h.Sport, Dport: h.Dport}
		}
		b.ResetTimer()
		for i := 0; i < b.N; i += batch {
			at := i & mask
			s.engine.DecideAll(from[at:at+batch], to[at:at+batch], asked[at:at+batch], answers)
			sink = answers[0].Rule
		}
	})
	b.Run("addresses-batch", func(b *testing.B) {
		var answers [batch]classify.Answer
		for i := 0; i < b.N; i += batch {
			s.askAll(trace[i&mask:][:batch], answers[:])
			sink = answers[0].Rule
		}
	})
	b.Run("addresses", func(b *testing.B) {
		for i := range b.N {
			sink, _ = s.ask(trace[i&mask])
		}
	})
}
