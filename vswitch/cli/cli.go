// Package cli is what the commands share in how they are called.
//
// A tree of cobra commands that Finish has seen does what people expect and
// cobra does not: a word that is no command is an error and not a page of help
// with exit code 0; a mistyped command or flag is answered with the right one;
// every mistake of the caller's is an error of type Usage, so that a command
// can give it its own exit code. It also brings the commands that all of them
// have: help, version and completion, each with examples.
//
// It belongs to main packages, and to the goroutine that runs main.
package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bulkhead/vswitch/cli/nearest"
)

// Usage is a mistake of the caller's.
type Usage struct{ error }

// Unwrap returns what is wrong.
func (u Usage) Unwrap() error { return u.error }

// Finish adds to a tree what all commands have. It is called once, when the
// tree is complete.
func Finish(root *cobra.Command) {
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(helpCommand(root))
	root.AddCommand(versionCommand(root), completionCommand(root))
	root.InitDefaultHelpCmd()
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return Usage{flagError(cmd, err)} })
	blameCaller(root)
}

// blameCaller makes what a command says about its arguments an error of the
// caller's. What has commands has no arguments: known sees to that.
func blameCaller(cmd *cobra.Command) {
	if !cmd.Runnable() {
		cmd.Args = cobra.ArbitraryArgs
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return Usage{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		blameCaller(sub)
	}
}

// Run runs the command that args call.
func Run(ctx context.Context, root *cobra.Command, args []string) error {
	if err := known(root, args); err != nil {
		return Usage{err}
	}
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return plainly(cmd, err)
}

// What cobra says of flags that are missing or exclude each other.
var (
	missing = regexp.MustCompile(`^required flag\(s\) (.+) not set$`)
	several = regexp.MustCompile(`^if any flags in the group \[.*\] are set none of the others can be; \[(.+)\] were all set$`)
)

// plainly says it as everything else is said.
func plainly(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	if m := missing.FindStringSubmatch(err.Error()); m != nil {
		names := strings.ReplaceAll(m[1], `"`, "")
		return Usage{fmt.Errorf("%s needs --%s; %s --help explains", called(cmd), strings.ReplaceAll(names, ", ", " and --"), cmd.CommandPath())}
	}
	if m := several.FindStringSubmatch(err.Error()); m != nil {
		return Usage{fmt.Errorf("--%s exclude each other", strings.ReplaceAll(m[1], " ", " and --"))}
	}
	return err
}

// known refuses a word that is no command where a command can stand; cobra
// would print the help, and call that a success.
func known(root *cobra.Command, args []string) error {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return nil
	}
	cmd, rest, err := root.Find(args)
	if err == nil && cmd.IsAdditionalHelpTopicCommand() && len(rest) > 0 && cmd.ParseFlags(rest) == nil && cmd.Flags().NArg() > 0 {
		return fmt.Errorf("%s is a topic of the help and no command: %s help %s", cmd.Name(), root.Name(), cmd.Name())
	}
	if err != nil || !cmd.HasAvailableSubCommands() {
		return err
	}
	if cmd.ParseFlags(rest) != nil {
		return nil // that is said when the command runs
	}
	if words := cmd.Flags().Args(); len(words) > 0 {
		return unknown(cmd, words[0])
	}
	return nil
}

// unknown says that a command has no such command, and which it has.
func unknown(cmd *cobra.Command, word string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if explained(sub) || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	text := fmt.Sprintf("there is no command %q", word)
	if cmd.HasParent() {
		text = fmt.Sprintf("%s has no command %q", called(cmd), word)
	}
	if meant := nearest.Name(word, names); meant != "" {
		return fmt.Errorf("%s; did you mean %q?", text, meant)
	}
	if len(names) == 0 {
		return errors.New(text)
	}
	return fmt.Errorf("%s; it has %s", text, strings.Join(names, ", "))
}

// called is a command's name without the program's, which begins the line of
// each error anyway.
func called(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// flagError adds to an error about a flag what was meant.
func flagError(cmd *cobra.Command, err error) error {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if meant := nearest.Name(missing.GetSpecifiedName(), names); meant != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, meant)
	}
	return fmt.Errorf("%w; %s --help lists them", err, cmd.CommandPath())
}

// NoArgs is the Args of a command that takes flags only.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, only flags; %q is one too many", called(cmd), args[0])
	}
	return nil
}

// OneArg is the Args of a command that takes one argument, called what.
func OneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s needs a %s: %s %s", called(cmd), what, cmd.Parent().CommandPath(), cmd.Use)
		case 1:
			return nil
		}
		return fmt.Errorf("%s takes one %s; %q is one too many", called(cmd), what, args[1])
	}
}
