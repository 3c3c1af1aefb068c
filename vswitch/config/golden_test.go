package config_test

import (
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"bulkhead/vswitch/config"
)

var rewrite = flag.Bool("rewrite", false, "write what is said now into testdata/mistakes.txt")

const goldenFile = "testdata/mistakes.txt"

// goldenCase is a file with mistakes and what is said of it.
type goldenCase struct{ situation, text, said string }

func goldenCases(t *testing.T) (head string, all []goldenCase) {
	t.Helper()
	data, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "\n=== ")
	for _, block := range blocks[1:] {
		situation, rest, _ := strings.Cut(block, "\n")
		text, said, found := strings.Cut("\n"+rest+"\n", "\n---\n")
		if !found {
			t.Fatalf("case %q has no ---", situation)
		}
		said = strings.TrimRight(said, "\n") + "\n"
		all = append(all, goldenCase{situation, strings.TrimPrefix(text, "\n"), said})
	}
	return blocks[0], all
}

// raw writes the bytes that a text file cannot hold.
var raw = strings.NewReplacer(`\x00`, "\x00", `\xff`, "\xff", `\xfe`, "\xfe")

// said is what is said of a file, as `vswitchd check` prints it.
func said(t *testing.T, text string) (string, config.Mistakes) {
	t.Helper()
	_, err := config.Parse("bad.toml", []byte(raw.Replace(text)))
	var mistakes config.Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("no mistakes, but %v", err)
	}
	return mistakes.Error() + "\n", mistakes
}

// Every mistake is said at once, with its place, its key and its cure.
func TestGoldenMistakes(t *testing.T) {
	head, all := goldenCases(t)
	for i, c := range all {
		t.Run(c.situation, func(t *testing.T) {
			got, mistakes := said(t, c.text)
			if got != c.said && !*rewrite {
				t.Errorf("said:\n%s\nwant:\n%s", got, c.said)
			}
			all[i].said = got
			for _, m := range mistakes {
				if m.Line < 1 || m.Column < 1 || m.Text == "" || m.Cure == "" {
					t.Errorf("without place, text or cure: %+v", m)
				}
			}
		})
	}
	if !*rewrite {
		return
	}
	var b strings.Builder
	b.WriteString(head)
	for _, c := range all {
		text := c.text
		if text != "" {
			text += "\n"
		}
		b.WriteString("\n=== " + c.situation + "\n" + text + "---\n" + strings.TrimSuffix(c.said, "\n"))
	}
	b.WriteString("\n")
	if err := os.WriteFile(goldenFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every key that can hold more than a wrong type is in the golden table.
func TestGoldenNamesEveryKey(t *testing.T) {
	_, all := goldenCases(t)
	index := regexp.MustCompile(`\[\d+\]`)
	seen := map[string]bool{}
	for _, c := range all {
		for line := range strings.Lines(c.said) {
			if parts := strings.SplitN(line, ": ", 3); len(parts) == 3 {
				key := index.ReplaceAllString(parts[1], "[]")
				seen[strings.TrimSuffix(key, "[]")] = true
			}
		}
	}
	anything := map[string]bool{"policy": true, "control_group": true}
	for _, k := range fileKeys() {
		free := anything[k.path] || k.kind == "true or false" && !strings.HasSuffix(k.path, "no_default_route")
		if free || k.kind == "table of texts" {
			continue
		}
		if !seen[k.path] {
			t.Errorf("no case has a mistake of %s", k.path)
		}
	}
}
