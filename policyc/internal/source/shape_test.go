package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"pgregory.net/rapid"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/syntax"
)

// values are plain, nearly plain, and no TOML, of shapes that repeat.
var values = []string{
	`"a"`, `"b"`, `"long words # [[rules]]"`, `""`, `"\u0041"`, `"é"`, `'a'`, `"""a"""`, "\"a\tb\"", "\"\x01\"", "\"\xff\"", "\"\x7f\"", `"'"`,
	"0", "1", "17", "007", "-1", "+1", "1_000", "999999999999999999", "9999999999999999999", "0x1f", "1.5", "true", "false", "True", "inf", "2026-01-01T00:00:00Z", "1e3",
	`["a", 1]`, `["b", 2]`, `[1, ]`, `[ , ]`, `{ a = "x", b = 1 }`, `{ a = "y", b = 2 }`, `{ a = 1, a = 2 }`, `{ a = "x", }`, `{ a.b = "x", a.c = true }`,
}

// Items of a known shape are what the TOML parser says they are, valid or not.
func TestShapesSayWhatTheParserDoes(t *testing.T) {
	shaped := 0
	rapid.Check(t, func(t *rapid.T) {
		use := rapid.SliceOfN(rapid.SampledFrom(values), 1, 4).Draw(t, "use")
		var b strings.Builder
		b.WriteString("version = 1\n")
		for i := range rapid.IntRange(0, 8).Draw(t, "named") {
			if rapid.Bool().Draw(t, "table") {
				fmt.Fprintf(&b, "[%s.t%d]\nv = %s\n", rapid.SampledFrom(tables[:]).Draw(t, "tables"), i, rapid.SampledFrom(use).Draw(t, "value"))
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "items") {
			fmt.Fprintf(&b, "[[%s]]\nv = %s\n", rapid.SampledFrom(lists[:]).Draw(t, "list"), rapid.SampledFrom(use).Draw(t, "value"))
			if rapid.Bool().Draw(t, "more") {
				fmt.Fprintf(&b, "w.x = %s\nw.y = \"q\"\n", rapid.SampledFrom(use).Draw(t, "value"))
			}
		}
		src := diag.NewSource("p", []byte(b.String()))
		root := treeInParts(src, 1)
		decoded := map[string]any{}
		_, err := toml.Decode(b.String(), &decoded)
		if root != nil && err != nil {
			t.Fatalf("by its shapes it is valid, whole it is not: %v\n%s", err, b.String())
		}
		if root == nil {
			return
		}
		shaped++
		tree, _ := syntax.Scan(src)
		var doubles diag.List
		whole := build(tree, &doubles)
		if err := whole.fill(decoded); err != nil {
			t.Fatal(err)
		}
		if err := same(root, whole); err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
	})
	if shaped < 5 {
		t.Errorf("only %d texts were read by shapes: they prove little", shaped)
	}
}

// A header below a list that stands in an item of another is of a text that is
// decoded whole: the item that it speaks of may be of a known shape.
func TestAHeaderInAnothersItemIsReadWhole(t *testing.T) {
	text := "version = 1\n" + strings.Repeat("[[rules]]\nn = \"a\"\n", 3) + "[[tests]]\nn = \"t\"\n[rules.more]\nx = 1\n"
	src := diag.NewSource("p", []byte(text))
	if treeInParts(src, 1) != nil {
		t.Error("it was read in parts")
	}
}

// Long and many shapes are decoded, not remembered.
func TestShapesHaveBounds(t *testing.T) {
	known := shapes{of: map[string]bool{}}
	for i := range 2 * maxShapes {
		text := fmt.Sprintf("[[rules]]\nk%d = \"a\"\n", i)
		tree, _ := syntax.Scan(diag.NewSource("p", []byte(text)))
		known.has([]byte(text), tree.Statements)
	}
	if len(known.of) != maxShapes {
		t.Errorf("%d shapes, want %d", len(known.of), maxShapes)
	}
	text := "[[rules]]\nn = [" + strings.Repeat(`"a", `, 10*maxShape) + "]\n"
	tree, _ := syntax.Scan(diag.NewSource("p", []byte(text)))
	for range 2 {
		if (&shapes{of: map[string]bool{}}).has([]byte(text), tree.Statements) || known.has([]byte(text), tree.Statements) {
			t.Error("a shape without end is known")
		}
	}
}
