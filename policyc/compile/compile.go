// Package compile is the compiler: policy sources in, a ruleset and findings
// out, a call a pass.
//
//	parse (source) ▸ check ▸ test (eval) ▸ lower
//
// It touches no files. The same sources, in any order, give the same ruleset
// on any machine.
package compile

import (
	"fmt"
	"io"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/lower"
	"bulkhead/policyc/internal/source"
)

// MaxSize bounds a policy file, in bytes.
const MaxSize = source.MaxSize

// Source is one policy file.
type Source struct {
	Name string // as findings name it
	Text []byte
}

// Include is a pattern of further files that a source asks for, relative to the
// file. Whoever reads files adds them to the sources: this package reads none.
type Include struct {
	Pattern string
	Place   string // file:line
}

// Includes are those of a source.
func Includes(s Source) []Include {
	var out []Include
	for _, text := range source.Includes(diag.NewSource(s.Name, s.Text)) {
		out = append(out, Include{text.Value, fmt.Sprintf("%s:%d", text.At.File(), text.At.Line())})
	}
	return out
}

// ScopeOf is the name of the scope that a source says it is of; "" for none, or
// where it cannot be read, which the check of it will say.
func ScopeOf(s Source) string { return source.ScopeOf(diag.NewSource(s.Name, s.Text)) }

// Options are what a build needs besides the sources.
type Options struct {
	Generation uint64
	// Step is told what is done next; nil: nobody asks.
	Step func(string)
	// Tool names the policyc that builds, and Kept is what such a one kept of a build
	// before; for Build alone. An empty Tool keeps nothing.
	Tool string
	Kept []byte
	// partSize is that of what is kept, for tests; 0 is as usual.
	partSize int
}

// Policy is a checked policy, for package eval.
type Policy = check.Policy

// Subject is one end of a connection, for package eval.
type Subject = check.Subject

// Findings are what is wrong, or odd, with a policy, in the order of the files.
type Findings struct{ list *diag.List }

// Failed tells whether the policy cannot be used.
func (f Findings) Failed() bool { return f.list.Failed() }

// All are the findings, for who shows them otherwise than Render.
func (f Findings) All() []diag.Diagnostic { return f.list.All }

// Errors and Warnings count them.
func (f Findings) Errors() int { return f.list.Count(diag.Error) }

// Warnings counts what does not stop a build.
func (f Findings) Warnings() int { return f.list.Count(diag.Warning) }

// Render writes the findings for people, each with its line and a caret.
func (f Findings) Render(w io.Writer) error { return f.list.Render(w) }

// Read parses and checks the sources together, and does not run their tests.
// The policy is not nil, but is to be used only if nothing failed.
func Read(sources []Source) (*Policy, Findings) {
	p, list, texts := read(sources)
	list.Sort(texts)
	return p, Findings{list}
}

// Check is Read, and runs the policy's own tests where nothing failed.
func Check(sources []Source) (*Policy, Findings) { return CheckAt(sources, Moments{}) }

// Moments are times that a check may depend on, in seconds since 1970; 0 is
// none, and then it depends on the sources alone.
type Moments struct {
	Now   int64 // rules that have expired by then are warned of
	Tests int64 // when tests ask that state no time; otherwise they ask of all times
}

// CheckAt is Check as of a time.
func CheckAt(sources []Source, at Moments) (*Policy, Findings) {
	p, list, texts := read(sources)
	if !list.Failed() {
		runTests(p, at.Tests, list)
	}
	if at.Now != 0 {
		check.Expired(p, at.Now, list)
	}
	list.Sort(texts)
	return p, Findings{list}
}

// read does not check names where a file could not be read at all: each name
// that it defines would seem to be wrong.
func read(sources []Source) (*Policy, *diag.List, []*diag.Source) {
	list := &diag.List{}
	var texts []*diag.Source
	for _, s := range sources {
		texts = append(texts, diag.NewSource(s.Name, s.Text))
	}
	files := source.ParseAll(texts, list)
	if slices.ContainsFunc(files, func(f *source.File) bool { return !f.Whole }) {
		return &Policy{}, list, texts
	}
	return check.Files(files, list), list, texts
}

func (o Options) step(name string) {
	if o.Step != nil {
		o.Step(name)
	}
}

// Compile checks the sources and lowers them; the ruleset is nil if something
// failed.
func Compile(sources []Source, o Options) (*policy.Ruleset, Findings) {
	p, list, _ := checked(sources, o)
	if list.Failed() {
		return nil, Findings{list}
	}
	o.step("lower")
	return Lower(p, o), Findings{list}
}

// checked reads and checks the sources and runs their tests.
func checked(sources []Source, o Options) (*Policy, *diag.List, []*diag.Source) {
	o.step("check")
	p, list, texts := read(sources)
	if !list.Failed() {
		o.step("test")
		runTests(p, 0, list)
	}
	list.Sort(texts)
	return p, list, texts
}

// Lower lowers a policy in which nothing failed.
func Lower(p *Policy, o Options) *policy.Ruleset { return lower.Policy(p, o.Generation) }
