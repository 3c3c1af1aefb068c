package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// outputFlag adds -o, which every command has that answers a question.
func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "print as `FORMAT`: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func goodFormat(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("output %q is not known; text or json", output)
	}
	return nil
}

// target is -o of a command that writes a file: which, and given once more how what
// was done is printed. So -o json means the same with every command; a file of that
// name is ./json.
type target struct{ file, format string }

// flag adds it to a command.
func (t *target) flag(cmd *cobra.Command, use string) {
	cmd.Flags().VarP(t, "output", "o", use+"; -o json as well prints as JSON what was done")
}

func (t *target) json() bool { return t.format == "json" }

// String is the file.
func (t *target) String() string { return t.file }

// Type is what help calls it.
func (t *target) Type() string { return "OUT" }

// Empty tells whether it says nothing; -o json alone says something.
func (t *target) Empty() bool { return t.file == "" && t.format == "" }

// Set takes a file or a format.
func (t *target) Set(text string) error {
	if goodFormat(text) == nil {
		t.format = text
	} else {
		t.file = text
	}
	return nil
}

// good refuses a target that is no file, or one of the sources.
func (t *target) good(sources []string) error {
	if t.file == "" && t.format != "" {
		return fmt.Errorf("no output is named: -o %s is how to print; use -o OUT as well, or -o ./%s for a file that is called so", t.format, t.format)
	}
	return goodOutput(t.file, sources)
}

// talk is where a command says what it has written: not among it.
func (t *target) talk(cmd *cobra.Command) io.Writer {
	if t.file == "-" {
		return cmd.ErrOrStderr()
	}
	return cmd.OutOrStdout()
}

// done says what was done, for people or for programs.
func done(w io.Writer, output string, text string, answer any) error {
	if output == "json" {
		return printJSON(w, answer)
	}
	_, err := io.WriteString(w, strings.TrimSuffix(text, "\n")+"\n")
	return err
}
