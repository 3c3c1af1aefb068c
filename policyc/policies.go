package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
	"bulkhead/policyc/internal/diag"
)

// policyOf reads a policy that a question is about; one with mistakes cannot be
// asked.
func policyOf(cmd *cobra.Command, args []string) (*compile.Policy, error) {
	sources, err := read(args)
	if err != nil {
		return nil, err
	}
	return policyIn(cmd, sources)
}

// policyIn is policyOf for sources that were read.
func policyIn(cmd *cobra.Command, sources []compile.Source) (*compile.Policy, error) {
	p, findings := compile.Read(sources)
	if findings.Failed() {
		return nil, errors.Join(findings.Render(cmd.ErrOrStderr()), errors.New("the policy cannot be asked: "+tally(findings)))
	}
	return p, nil
}

// inFolder lists the policy files of a folder and of those in it, sorted; a
// file stands for itself. What is hidden by a dot is left out: it is an editor's
// or git's, and in a ConfigMap the same files once more.
func inFolder(name string) ([]string, error) {
	if info, err := os.Stat(name); name == "-" || err != nil || !info.IsDir() {
		return []string{name}, nil
	}
	var out []string
	root := name + string(filepath.Separator) // so that a link to a folder is one
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch hidden := path != root && strings.HasPrefix(d.Name(), "."); {
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden:
			return nil
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".toml") {
			out = append(out, path)
		}
		return err
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s: no .toml file is in this folder", name)
	}
	return out, err
}

// answerForm is how an answer is printed.
type answerForm struct {
	name  string
	known []string
}

// flag adds -o to a command.
func (f *answerForm) flag(cmd *cobra.Command, known ...string) {
	f.known = known
	cmd.Flags().StringVarP(&f.name, "output", "o", known[0], "print as `FORMAT`: "+f.all())
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
}

// all are the formats there are, in words.
func (f *answerForm) all() string {
	last := len(f.known) - 1
	if last == 0 {
		return f.known[0]
	}
	return strings.Join(f.known[:last], ", ") + " or " + f.known[last]
}

func (f *answerForm) check() error {
	if slices.Contains(f.known, f.name) {
		return nil
	}
	return fmt.Errorf("output %q is not known; %s", f.name, f.all())
}

// printJSON prints an answer for programs, indented so that it can be compared.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// packetJSON is a witness for programs.
type packetJSON struct {
	From string `json:"from"`
	To   string `json:"to"`
	Port string `json:"port"`
}

func packetOf(w *analyze.Packet) *packetJSON {
	if w == nil {
		return nil
	}
	return &packetJSON{w.From.Text, w.To.Text, w.Port()}
}

// placeOf is where something stands, as file:line.
func placeOf(at diag.Span) string { return fmt.Sprintf("%s:%d", at.File(), at.Line()) }

// ruleNames are the names of rules.
func ruleNames(rules []*check.Rule) []string {
	out := make([]string, 0, len(rules))
	for _, r := range rules {
		out = append(out, r.Name)
	}
	return out
}

// few writes some names, and how many more there are.
func few(names []string) string {
	const most = 5
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
