package main

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// neverPrinted are the errors that no script can show, and why.
var neverPrinted = map[string]string{
	"it may be a key, which is never written over, and cannot be read: %w": "root, which tests may be, reads every file",
	"unpacked it is more than %d MiB":                                      "a script of a gibibyte; package classbench tests it",
	"the switch would refuse it: %w":                                       "it has to be beyond the bounds of package classify, which takes gigabytes of source",
	"what was imported is no policy: that is a mistake of policyc":         "it is one; package kube's FuzzRead looks for where it is not",
	"it is not valid TOML":                                                 "the canonical form is; FuzzFormat looks for where it is not",
	"not valid: %s":                                                        "as above",
	"%s:%d:%d and %s:%d:%d differ":                                         "as above",
	"%s:%d: %q is lost":                                                    "as above",
	"line %d column %d is not read as the TOML parser reads it":            "both readers agree; FuzzFormat looks for where they do not",
	"rules have %d ranges of ports of protocol %d and %d of its source ports, which cut each other into more than %d pieces: analyse fewer files at once, or use ranges that are alike": "a script of thousands of ranges; package analyze tests it",
	"--cache needs the build ID of policyc, and this one has none; build it without -buildid":                                                                                           "it takes a policyc that was built in a way of its own",
	"not a message":                              "it is said to the editor, in a message; package lsp tests it",
	"%w: %d bytes, more than %d":                 "as above",
	"%w: a header of more than %d bytes":         "as above",
	"%w: a header without a good Content-Length": "as above",
}

// Every error that can end a command is shown by a script: that it can be
// reached, and how it reads where people meet it, with what stands before it.
func TestEveryErrorIsInAScript(t *testing.T) {
	shown := linesWith(scripts(t), `policyc: `)
	all := formats(t, errorOf)
	if len(all) < 50 {
		t.Errorf("only %d errors found", len(all))
	}
	for format, place := range all {
		if len(regexp.MustCompile(`%\w`).ReplaceAllString(format, "")) < 8 || strings.HasPrefix(place, "internal/worlds") {
			continue // "%s: %w": a frame around an error that has a row of its own
		}
		seen := regexp.MustCompile(`(?m)^policyc: (.*: )?` + matcher(format)).MatchString(shown)
		if _, excused := neverPrinted[format]; seen == excused {
			t.Errorf("%s: %q: shown %v, excused %v", place, format, seen, excused)
		}
	}
}

// errorOf returns the text of an error that a call makes.
func errorOf(n ast.Node) (string, bool) {
	call, is := n.(*ast.CallExpr)
	if !is || len(call.Args) == 0 {
		return "", false
	}
	f, is := call.Fun.(*ast.SelectorExpr)
	if !is {
		return "", false
	}
	from, is := f.X.(*ast.Ident)
	if !is || from.Name+"."+f.Sel.Name != "fmt.Errorf" && from.Name+"."+f.Sel.Name != "errors.New" {
		return "", false
	}
	return literal(call.Args[0])
}
