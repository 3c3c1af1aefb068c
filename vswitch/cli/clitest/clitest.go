// Package clitest holds a tree of commands to what all of them promise in
// their help: it explains each command and flag, gives at least three examples
// of each, and each example is a call that the command takes.
//
// It runs their scripts, too (Scripts). It is for tests.
package clitest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Example is a line of a command's examples.
type Example struct {
	Of   string // the command, as "vsctl endpoint add"
	Line string // for a shell
}

// Examples are the examples of every command of a tree.
func Examples(root *cobra.Command) []Example {
	var all []Example
	each(root, func(cmd *cobra.Command) {
		for _, line := range strings.Split(cmd.Example, "\n") {
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, Example{cmd.CommandPath(), line})
			}
		}
	})
	return all
}

func each(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		each(sub, f)
	}
}

// Help checks the help of every command of the tree that makes. Topics, which are
// there for their help alone, have no examples of calls.
func Help(t *testing.T, tree func() *cobra.Command) {
	t.Helper()
	examples := map[string]int{}
	for _, e := range Examples(tree()) {
		examples[e.Of]++
		for _, call := range calls(e.Line, tree().Name()) {
			takes(t, tree(), e.Line, call)
		}
	}
	each(tree(), func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		topic := cmd.IsAdditionalHelpTopicCommand() // no command: there is nothing to call
		if cmd.Short == "" || cmd.Long == "" || examples[name] < 3 && !topic {
			t.Errorf("%s: short %q, long %q, %d examples; all three are needed, and three examples", name, cmd.Short, cmd.Long, examples[name])
		}
		for _, line := range strings.Split(cmd.Long, "\n") {
			if len(line) > 84 {
				t.Errorf("%s: a line of its help is too long for a terminal: %q", name, line)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if kind, usage := pflag.UnquoteUsage(f); usage == "" || kind == "string" || kind == "uint" || kind == "int" || strings.HasSuffix(kind, "s") && kind != "FLAGS" {
				t.Errorf("%s --%s takes a %q and says %q: name what it takes in backquotes", name, f.Name, kind, usage)
			}
		})
	})
}

// takes checks that the tree would run a call.
func takes(t *testing.T, root *cobra.Command, line string, args []string) {
	t.Helper()
	cmd, rest, err := root.Find(args)
	if err == nil {
		cmd.InitDefaultHelpFlag()
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err == nil {
		err = cmd.ValidateRequiredFlags()
	}
	if err == nil && !cmd.Runnable() && cmd.Flags().NArg() > 0 {
		t.Errorf("example %q: %s has no such command", line, cmd.CommandPath())
	}
	if err != nil {
		t.Errorf("example %q: %v", line, err)
	}
}

var (
	joints   = regexp.MustCompile(`\s*(\|\||&&|\||;|&)\s*`)
	redirect = regexp.MustCompile(`\s+\d?>\s*("[^"]*"|\S+)`)
	word     = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
)

// calls are the arguments of each call of a program in a line for a shell.
func calls(line, program string) [][]string {
	var out [][]string
	for _, part := range joints.Split(redirect.ReplaceAllString(line, ""), -1) {
		words := word.FindAllString(part, -1)
		for i := range words {
			words[i] = strings.Trim(words[i], `'"`)
		}
		if len(words) > 0 && words[0] == program {
			out = append(out, words[1:])
		}
	}
	return out
}

// Harmless is an example whose output goes nowhere instead of to a file that a
// test has no business with.
func (e Example) Harmless() string {
	return redirect.ReplaceAllStringFunc(e.Line, func(to string) string {
		if strings.Contains(to, "/") {
			return " > /dev/null"
		}
		return to
	})
}
