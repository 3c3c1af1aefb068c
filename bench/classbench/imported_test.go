package classbench

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"bulkhead/dataplane/classify"
	"bulkhead/dataplane/policy"
	"bulkhead/policyc/classbench"
	"bulkhead/policyc/compile"
)

// imported is a rule set as policyc import writes it, compiled, written as an
// artifact, read back and linked.
func imported(t *testing.T, name string, rules []Rule) *set {
	start := time.Now()
	var text bytes.Buffer
	if err := classbench.Write(&text, rules, classbench.Alternate); err != nil {
		t.Fatal(err)
	}
	rs, findings := compile.Compile([]compile.Source{{Name: name + ".toml", Text: text.Bytes()}}, compile.Options{})
	if findings.Failed() {
		var said bytes.Buffer
		_ = findings.Render(&said)
		t.Fatal(said.String())
	}
	data, err := policy.Encode(rs)
	if err != nil {
		t.Fatal(err)
	}
	s := &set{name: name}
	if s.rs, err = policy.Decode(data); err != nil {
		t.Fatal(err)
	}
	if s.table, err = Identities(s.rs); err != nil {
		t.Fatal(err)
	}
	if s.engine, err = classify.Link(s.rs, s.table.AllSets()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes of source, linked after %v", name, text.Len(), time.Since(start).Round(time.Millisecond))
	return s
}

// An imported rule set decides as the rule set: every header of the trace by the
// line that an independent search of the text found.
func TestAnImportMeansTheSame(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		rules, err := ReadRules(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		expect, err := ReadExpect(dir, name)
		if err != nil || len(expect) == 0 {
			t.Fatalf("%d expected: %v", len(expect), err)
		}
		trace, err := ReadTrace(dir, name, "trace", len(expect))
		if err != nil || len(trace) != len(expect) {
			t.Fatalf("%d headers, %d expected: %v", len(trace), len(expect), err)
		}
		s := imported(t, name, rules)
		for i, want := range expect {
			line, allow := "", false
			if want >= 0 {
				line, allow = fmt.Sprintf("line-%06d", rules[want].Line), want%2 == 0
			}
			rule, verdict := s.ask(trace[i])
			got := ""
			if rule != policy.NoRule {
				got = s.rs.Rules[rule].Name
			}
			if got != line || (verdict == policy.Allow) != allow {
				t.Fatalf("header %d %+v: %q, verdict %v; want %q, allow %v", i, trace[i], got, verdict, line, allow)
			}
		}
	})
}
