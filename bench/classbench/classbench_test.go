package classbench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/identity"
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
	src, dst := Addr(h.Src), Addr(h.Dst)
	from, _ := s.table.Identify(0, &src)
	to, _ := s.table.Identify(0, &dst)
	return s.engine.Decide(from, to, h.Proto, h.Sport, h.Dport)
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
			t.Run(name, func(t *testing.T) { test(t, name) })
		}
	}
}

// Every header of the trace gets the rule that an independent search of the
// text found, and a sample of the adversarial headers the rule of the list.
func TestFirstMatch(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		s := load(t, name)
		trace, err := ReadTrace(dir, name, "trace")
		if err != nil {
			t.Fatal(err)
		}
		expect, err := ReadExpect(dir, name)
		if err != nil || len(expect) == 0 {
			t.Fatalf("%d expected: %v", len(expect), err)
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
		s.crossed(t)
	})
}

func (s *set) crossed(t *testing.T) {
	trace, err := ReadTrace(dir, s.name, "xtrace")
	if os.IsNotExist(err) {
		return // the small sets have none
	}
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 4_000_000 / len(s.rs.Rules) {
		h := trace[r.IntN(len(trace))]
		rule, verdict := s.ask(h)
		if want, wantVerdict := s.list(h); rule != want || verdict != wantVerdict {
			t.Fatalf("%+v: rule %d, verdict %d; the list says %d, %d", h, int32(rule), verdict, int32(want), wantVerdict)
		}
	}
}
