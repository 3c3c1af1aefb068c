package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"bulkhead/policyc/compile"
)

// stdin is how findings name standard input.
const stdin = "<stdin>"

// files takes the arguments of every command that reads policies.
func files(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s needs a policy file, or several; - is standard input", cmd.Name())
	}
	for i, name := range args {
		if slices.Contains(args[:i], name) {
			return fmt.Errorf("%q is named twice", name)
		}
	}
	return nil
}

// completeFiles completes the names of policies.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
}

// readAll reads these files and no others, or says of each that cannot be read
// why.
func readAll(args []string) ([]compile.Source, error) {
	var out []compile.Source
	var errs []error
	for _, name := range args {
		text, err := readOne(name)
		errs = append(errs, err)
		out = append(out, compile.Source{Name: shown(name), Text: text})
	}
	return out, errors.Join(errs...)
}

// readOne reads an argument: a file, a pipe, or standard input.
func readOne(name string) ([]byte, error) {
	if name == "-" {
		return readBounded(os.Stdin, stdin)
	}
	if err := goodFileName(name); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, name)
}

// readRegular reads a file that nobody named, and nothing that is no file: a
// pipe would keep us waiting for a writer, a device may have no end.
func readRegular(name string) ([]byte, error) {
	if err := goodFileName(name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return readBounded(f, name)
}

// goodFileName refuses what would move the cursor, or forge a line, wherever a
// name is printed: in findings, and by the switch that says where a rule stands.
func goodFileName(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%q is no name of a policy file: characters that print", name)
	}
	return nil
}

// readBounded reads no more than a policy file may have.
func readBounded(from io.Reader, name string) ([]byte, error) {
	var text bytes.Buffer
	if f, is := from.(*os.File); is { // read into what is grown by doubling it is there twice
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			text.Grow(int(min(info.Size(), compile.MaxSize+1)) + bytes.MinRead)
		}
	}
	if _, err := text.ReadFrom(io.LimitReader(from, compile.MaxSize+1)); err != nil {
		return nil, err
	}
	if text.Len() > compile.MaxSize {
		return nil, fmt.Errorf("%s has more than the %d bytes a policy file may have", name, compile.MaxSize)
	}
	return text.Bytes(), nil
}

func shown(name string) string {
	if name == "-" {
		return stdin
	}
	return name
}

// report prints findings, and turns mistakes into a no.
func report(cmd *cobra.Command, f compile.Findings) error {
	if err := f.Render(cmd.ErrOrStderr()); err != nil {
		return err
	}
	if f.Failed() {
		fmt.Fprintln(cmd.ErrOrStderr(), tally(f))
		return answerNo{}
	}
	return nil
}

// tally counts findings, as "2 errors, 1 warning".
func tally(f compile.Findings) string {
	text := count(f.Errors(), "error")
	if n := f.Warnings(); n > 0 {
		text += ", " + count(n, "warning")
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
