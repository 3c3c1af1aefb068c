package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// neverSeen are the diagnostics that no script can show, and why.
var neverSeen = map[string]string{
	"%s":     "a problem's text, which has a row of its own",
	"%s: %v": "the TOML parser has always said where",
	"this form of TOML is not understood: %s":                                                         "both readers agree; FuzzFormat looks for where they do not",
	"this form of TOML is not understood: %v":                                                         "both readers agree; FuzzFormat looks for where they do not",
	"the canonical form would not say the same: %v":                                                   "it does; FuzzFormat looks for where it does not",
	"%s: the file has %d bytes, more than the %d a policy file may have":                              "a script of 256 MiB; package source tests it",
	"%s: the file has %d bytes, more than the %d a manifest may have":                                 "a script of 64 MiB; package kube tests it",
	"with network %q rules name more than %d different prefixes, which is what a switch has room for": "a script of 40 MB; package check tests it",
	"too many rules are of priority %d to say which wins":                                             "policies of thousands of rules; package kube tests it",
}

// Every diagnostic that the compiler has is shown by a script: what it looks
// like, where it points, what it proposes.
func TestEveryDiagnosticIsInAScript(t *testing.T) {
	shown := linesWith(scripts(t), `error: |warning: |policyc: `)
	all := formats(t, formatOf)
	if len(all) < 50 {
		t.Errorf("only %d diagnostics found", len(all))
	}
	for format, place := range all {
		pattern := regexp.MustCompile(`(error|warning|policyc: --\w+): (\S+: )?` + matcher(format) + `($|[;\n])`)
		_, excused := neverSeen[format]
		if seen := pattern.MatchString(shown); seen == excused && format != "%s" && format != "%s: %v" {
			t.Errorf("%s: %q: shown %v, excused %v", place, format, seen, excused)
		}
	}
}

// scripts are the texts of all scripts.
func scripts(t *testing.T) string {
	t.Helper()
	var shown strings.Builder
	names, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(text)
	}
	return shown.String()
}

// linesWith are the lines of a text in which something is found; the rest would
// only be searched again and again.
func linesWith(text, pattern string) string {
	return strings.Join(regexp.MustCompile(`(?m)^.*(`+pattern+`).*\n`).FindAllString(text, -1), "")
}

// formats are those that of finds in the source, and their places.
func formats(t *testing.T, of func(ast.Node) (string, bool)) map[string]string {
	t.Helper()
	found := map[string]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if format, is := of(n); is {
				found[format] = files.Position(n.Pos()).String()
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// formatOf returns the format of a call of Errorf or Warnf of a list, and of
// the text of a Problem.
func formatOf(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.CallExpr:
		f, is := n.Fun.(*ast.SelectorExpr)
		if is && (strings.EqualFold(f.Sel.Name, "Errorf") || f.Sel.Name == "Warnf") && len(n.Args) > 1 {
			return literal(n.Args[1])
		}
		if is && (f.Sel.Name == "bad" || f.Sel.Name == "mark") && len(n.Args) > 2 {
			return literal(n.Args[2]) // of a manifest's field; of a key that not all rules have
		}
	case *ast.CompositeLit:
		if name, is := n.Type.(*ast.Ident); is && name.Name == "Problem" {
			return textOf(n)
		}
	}
	return "", false
}

// textOf returns the text of a Problem.
func textOf(problem *ast.CompositeLit) (string, bool) {
	for _, e := range problem.Elts {
		field, is := e.(*ast.KeyValueExpr)
		if !is || field.Key.(*ast.Ident).Name != "Text" {
			continue
		}
		if call, is := field.Value.(*ast.CallExpr); is && len(call.Args) > 0 {
			return literal(call.Args[0])
		}
		return literal(field.Value)
	}
	return "", false
}

func literal(e ast.Expr) (string, bool) {
	l, is := e.(*ast.BasicLit)
	if !is || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// matcher makes a pattern of what a format prints.
func matcher(format string) string {
	p := regexp.QuoteMeta(format)
	p = strings.ReplaceAll(p, "%q", `"[^\n]*"`)
	p = regexp.MustCompile(`%0?\d*[do]`).ReplaceAllString(p, `\d+`)
	return regexp.MustCompile(`%[svw]`).ReplaceAllString(p, `[^\n]+`)
}
