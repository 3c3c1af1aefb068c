package main

import (
	"os"
	"path/filepath"
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

// The pieces of policies that stand between the manual's lines, indented, are of the
// language, too; and so is what the README begins with.
func TestTheManualsPiecesArePolicies(t *testing.T) {
	outside := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(manual(t), "")
	pieces := regexp.MustCompile(`(?m)(^    .*\n|^\n)+`).FindAllString(outside, -1)
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, b := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		pieces = append(pieces, b[1])
	}
	for _, piece := range pieces {
		if !strings.Contains(piece, "[") {
			continue
		}
		n++
		if !strings.Contains(piece, "version = 1") {
			piece = "version = 1\n" + piece
		}
		_, findings := compile.Check([]compile.Source{{Name: "piece", Text: []byte(piece)}})
		var out strings.Builder
		if err := findings.Render(&out); err != nil || out.Len() > 0 {
			t.Errorf("%v\n%s\n%s", err, out.String(), piece)
		}
	}
	if n != 3 {
		t.Errorf("%d pieces", n)
	}
}

// A topic of the help is no sketch: a text in it that states a version is a whole
// policy, which compiles without a finding, and the tests in it pass.
func TestTopicsArePolicies(t *testing.T) {
	for _, name := range topicNames {
		_, text := topic(name)
		n := 0
		for _, block := range regexp.MustCompile(`(?m)(^    .*\n|^\n)+`).FindAllString(text+"\n", -1) {
			if !strings.Contains(block, "version = 1") {
				continue
			}
			n++
			_, findings := compile.Check([]compile.Source{{Name: "topic " + name, Text: []byte(block)}})
			var out strings.Builder
			if err := findings.Render(&out); err != nil || out.Len() > 0 {
				t.Errorf("%v\n%s", err, out.String())
			}
		}
		if want := map[string]int{"keys": 0, "change": 0, "signing": 0}; n != 1 && n != want[name] {
			t.Errorf("topic %s has %d policies", name, n)
		}
	}
}

// Topics are read on a terminal, and every text in the folder is one.
func TestTopicsFitTheScreen(t *testing.T) {
	files, err := filepath.Glob("topics/*.txt")
	if err != nil || len(files) != len(topicNames)-1 { // the keys have no file
		t.Errorf("%d files for %d topics: %v", len(files), len(topicNames), err)
	}
	for _, name := range topicNames {
		title, text := topic(name)
		if len(title) == 0 || len(title) > 66 {
			t.Errorf("%s: title %q", name, title)
		}
		for _, line := range strings.Split(text, "\n") {
			if len(line) > 84 {
				t.Errorf("%s: %d bytes: %s", name, len(line), line)
			}
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
