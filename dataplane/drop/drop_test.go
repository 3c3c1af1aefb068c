package drop

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Each reason has a unique name, a stage and a sentence: a constant without a
// row, or two rows of one name, would make a counter that nobody can read.
func TestEveryReasonIsDescribed(t *testing.T) {
	seen := map[string]Reason{}
	for _, r := range All() {
		if r.String() == "" || r.Stage() == "" || r.Sentence() == "" {
			t.Errorf("reason %d has no row in the table", r)
		}
		if other, dup := seen[r.String()]; dup {
			t.Errorf("reasons %d and %d are both called %q", other, r, r)
		}
		seen[r.String()] = r
		if back, found := Parse(r.String()); !found || back != r {
			t.Errorf("Parse(%q) = %d, %v; want %d", r, back, found, r)
		}
	}
	if _, found := Parse("no-such-reason"); found {
		t.Error("Parse found a reason that does not exist")
	}
	if got := Reason(255).String(); got != "invalid" {
		t.Errorf("Reason(255) = %q, want invalid", got)
	}
}

// The comment on a constant is the sentence that users read: one text, two
// places, held together here.
func TestCommentsAreTheSentences(t *testing.T) {
	src, err := os.Open("drop.go")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	line := regexp.MustCompile(`^\t[A-Z]\w+ +// (.+)$`)
	var comments []string
	for in := bufio.NewScanner(src); in.Scan(); {
		if m := line.FindStringSubmatch(in.Text()); m != nil {
			comments = append(comments, m[1])
		}
	}
	all := All()
	if len(comments) != len(all) {
		t.Fatalf("%d constants have a comment, there are %d reasons", len(comments), len(all))
	}
	for i, r := range all {
		if strings.ReplaceAll(comments[i], `"`, "'") != r.Sentence() {
			t.Errorf("%s: comment %q, sentence %q", r, comments[i], r.Sentence())
		}
	}
}
