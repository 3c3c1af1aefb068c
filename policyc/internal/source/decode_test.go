package source

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"pgregory.net/rapid"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/syntax"
)

// lines make texts that can be cut, that look as if they could, and that are no
// TOML.
var lines = []string{
	"[[rules]]", "[[rules]]", "[[rules]]", "[[tests]]", "[[tests]]", "[rules.allow]", "[[rules.more]]", "[rules.allow.x]", "[tests.from]",
	"name = \"[[rules]]\"", "allow = { from = [\"a\"], to = [\"b\"] }", "allow.to = [\"x\"]", "rules = 1", "rules.y = 1", "n = 2 # [[rules]]", "s = '''\n[[rules]]\n'''",
	"[services.a]", "[services.b]", "labels = { a = \"1\" }", "[services.a.labels]", "[rules]", "[\"rules\"]", "[[ 'tests' ]]", "[tests]", "rules = [{ a = 1 }]",
	"[[rules", "x = ", "d = 1979-05-27", "f = [1, 2.5, true, [{}]]", "[[services]]", "[[rules.allow.deep]]", "# [[tests]]", "",
}

// A text that is read in parts is valid TOML, and says what it says whole.
func TestPartsSayWhatTheWholeDoes(t *testing.T) {
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		text := "version = 1\n" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(lines), 0, 14).Draw(t, "lines"), "\n") + "\n"
		src := diag.NewSource("p", []byte(text))
		root := treeInParts(src, 1)
		if root == nil {
			return
		}
		read++
		decoded := map[string]any{}
		if _, err := toml.Decode(text, &decoded); err != nil {
			t.Fatalf("in parts it is valid, whole it is not: %v\n%s", err, text)
		}
		tree, _ := syntax.Scan(src)
		var doubles diag.List
		whole := build(tree, &doubles)
		if err := whole.fill(decoded); err != nil {
			t.Fatal(err)
		}
		if err := same(root, whole); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	})
	if read < 2 {
		t.Errorf("only %d texts were read in parts: they prove little", read)
	}
}

// What is wrong far behind in a large text is said with its own place.
func TestAMistakeInAPartHasItsPlace(t *testing.T) {
	var list diag.List
	text := large(3000)
	Parse(diag.NewSource("p", []byte(text+"[[rules]]\nname = \"x\nallow = {}\n")), &list)
	if want := fmt.Sprintf("p:%d:", strings.Count(text, "\n")+2); len(list.All) != 1 || !strings.HasPrefix(list.All[0].Line(), want) {
		t.Errorf("%v, want one at %s", list.All, want)
	}
}

func large(rules int) string {
	var b strings.Builder
	b.WriteString("version = 1\n[services.web]\nlabels = { app = \"shop\" }\n")
	for i := range rules {
		fmt.Fprintf(&b, "[[rules]]\nname = \"r%d\"\nallow = { from = [\"web\"], to = [\"web\"], ports = [\"tcp/%d\", \"udp/6000-6100\"] }\n", i, i%60000+1)
	}
	return b.String()
}

// BenchmarkParse reads 20,000 rules: decoded whole, decoded in parts (each rule has
// a comment of its own, so that none is of a known shape), and by their shapes.
func BenchmarkParse(b *testing.B) {
	plain := large(20_000)
	n := 0
	strange := regexp.MustCompile(`(?m)^name.*`).ReplaceAllStringFunc(plain, func(line string) string {
		n++
		return fmt.Sprintf("%s # %d", line, n)
	})
	for _, way := range []struct {
		name, text string
		read       func(*diag.Source) bool
	}{
		{"whole", plain, func(src *diag.Source) bool { return wholeTree(src, &diag.List{}) != nil }},
		{"parts", strange, func(src *diag.Source) bool { return len(Parse(src, &diag.List{}).Rules) == 20_000 }},
		{"shapes", plain, func(src *diag.Source) bool { return len(Parse(src, &diag.List{}).Rules) == 20_000 }},
	} {
		src := diag.NewSource("p", []byte(way.text))
		b.Run(way.name, func(b *testing.B) {
			b.SetBytes(int64(len(src.Text)))
			b.ReportAllocs()
			for b.Loop() {
				if !way.read(src) {
					b.Fatal("it is not read")
				}
			}
		})
	}
}

// A line that looks like a rule stands in a string, and what follows can be read out of
// step with the quotes, to the end: the head, which ends in the string, tells.
func TestARuleInAStringBeginsNoPart(t *testing.T) {
	text := "version = 1\n[vars]\na = '''\n[[rules]]\nname = \"x\"\n'''\nb = ''' = 1 # '''\n[[rules]]\nname = \"r\"\n"
	src := diag.NewSource("p", []byte(text))
	var list diag.List
	if f := Parse(src, &list); len(f.Rules) != 1 {
		t.Fatalf("it has %d rules: %v", len(f.Rules), list.All)
	}
	if first := nextItem(src.Text, 0); !ItemsOnly(src, []int{first}) {
		t.Error("out of step it is not read: this test proves nothing")
	}
	if _, fine := Parts(src, 1); fine || treeInParts(src, 1) != nil {
		t.Error("it is read in parts")
	}
}
