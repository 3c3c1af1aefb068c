package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
)

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The example of the manual compiles without a finding, its tests pass, and it
// is in canonical form.
func TestTheManualsExampleIsAPolicy(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(manual(t), -1)
	if len(blocks) == 0 {
		t.Fatal("the manual has no example")
	}
	for _, b := range blocks {
		p, findings := compile.Check([]compile.Source{{Name: "docs/policy.md", Text: []byte(b[1])}})
		var out strings.Builder
		if err := findings.Render(&out); err != nil || out.Len() > 0 || len(p.Tests) == 0 {
			t.Errorf("%d tests, %v\n%s", len(p.Tests), err, out.String())
		}
		var list diag.List
		if got := string(format.Source(diag.NewSource("docs/policy.md", []byte(b[1])), &list)); got != b[1] {
			t.Errorf("not in canonical form, which is\n%s", got)
		}
	}
}

// Every word of the manual's table of ports is one.
func TestTheManualsPortsAreWords(t *testing.T) {
	table := regexp.MustCompile(`(?s)## Ports\n(.*?)\n\n[A-Z]`).FindStringSubmatch(manual(t))
	if table == nil {
		t.Fatal("the manual has no table of ports")
	}
	words := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(table[1], -1)
	if len(words) < 15 {
		t.Errorf("only %d words", len(words))
	}
	for _, w := range words {
		if _, err := compile.Ports(w[1]); err != nil {
			t.Errorf("%s: %v", w[1], err)
		}
	}
}
