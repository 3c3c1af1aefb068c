package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// The keys that the help and the manual have are those that the compiler reads:
// no more, no less, in the same tables and order.
func TestTheLanguageIsWhatIsRead(t *testing.T) {
	read := keysRead(t)
	var listed []string
	for _, tab := range language {
		var names []string
		for _, k := range tab.keys {
			names = append(names, k.name)
			if k.takes == "" || k.missing == "" || k.says == "" {
				t.Errorf("%s: %s is not explained", tab.header, k.name)
			}
		}
		listed = append(listed, tab.of+": "+strings.Join(names, " "))
	}
	slices.Sort(listed)
	if want := slices.Sorted(maps.Keys(read)); !slices.Equal(listed, want) {
		t.Errorf("listed:\n%s\nread:\n%s", strings.Join(listed, "\n"), strings.Join(want, "\n"))
	}
}

// keysRead are the tables of package source, each with its keys: what its calls
// of reader.keys name.
func keysRead(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	entries, err := os.ReadDir("internal/source")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), "internal/source/"+e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if of, names, is := keysCall(n); is {
				found[of+": "+strings.Join(names, " ")] = true
			}
			return true
		})
	}
	if len(found) < 10 {
		t.Fatalf("only %d tables found", len(found))
	}
	return found
}

// keysCall reads a call r.keys(node, of, names...).
func keysCall(n ast.Node) (of string, names []string, is bool) {
	call, isCall := n.(*ast.CallExpr)
	if !isCall || len(call.Args) < 3 {
		return "", nil, false
	}
	if f, isMethod := call.Fun.(*ast.SelectorExpr); !isMethod || f.Sel.Name != "keys" {
		return "", nil, false
	}
	of, fixed := literal(call.Args[1])
	if !fixed {
		of = "key" // allow, deny and pass, from and to: the key that it stands under
	}
	for _, a := range call.Args[2:] {
		name, _ := literal(a)
		names = append(names, name)
	}
	return of, names, true
}

// The manual has the list of keys as the help has it.
func TestTheManualHasEveryKey(t *testing.T) {
	if table := keysTable(); !strings.Contains(manual(t), table) {
		t.Errorf("docs/policy.md has not this table:\n%s", table)
	}
}
