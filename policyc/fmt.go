package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bulkhead/policyc/internal/atomicfile"
	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/format"
)

func fmtCommand() *cobra.Command {
	f := &formatter{files: []formatted{}}
	cmd := &cobra.Command{
		Use:   "fmt [-w | --check] FILE...",
		Short: "Write policies in their canonical form",
		Long: `Prints the canonical form. Comments stay, the meaning stays, and formatting twice
changes nothing more. A file that cannot be read as TOML is reported and left
alone; the others are formatted.

Exit codes: 0 done, 1 with --check: a file is not in canonical form, 2 error.`,
		Example: `  policyc fmt policy.toml
  policyc fmt -w policy.toml shop.toml
  policyc fmt --check *.toml -o json`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := goodFormat(f.output); err != nil {
				return err
			}
			f.out, f.talk = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return f.all(args)
		},
	}
	cmd.Flags().BoolVarP(&f.write, "write", "w", false, "write each file back instead of printing it")
	cmd.Flags().BoolVar(&f.check, "check", false, "only name the files that would change")
	cmd.MarkFlagsMutuallyExclusive("write", "check")
	outputFlag(cmd, &f.output)
	return cmd
}

type formatter struct {
	write, check bool
	output       string
	out, talk    io.Writer
	files        []formatted // for -o json
}

// formatted is what fmt prints of a file as JSON. Text is the canonical form, where
// that is what is asked for: neither with --check nor with --write.
type formatted struct {
	File     string        `json:"file"`
	Changed  bool          `json:"changed"` // it is not, or was not, in canonical form
	Written  bool          `json:"written"`
	Text     *string       `json:"text,omitempty"`
	Findings []findingJSON `json:"findings,omitempty"` // why there is no such form
}

// all formats every file; one that is bad does not keep the others from it.
func (f *formatter) all(names []string) error {
	changed := false
	var errs []error
	for _, arg := range names {
		inside, err := inFolder(arg)
		errs = append(errs, err)
		for _, name := range inside {
			one, err := f.one(name, name == arg)
			errs, changed = append(errs, err), changed || one
		}
	}
	if f.output == "json" {
		errs = append(errs, printJSON(f.out, map[string]any{"files": f.files}))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if f.check && changed {
		return answerNo{}
	}
	return nil
}

// one formats a file, and tells whether that changed it. What nobody named must
// be a file.
func (f *formatter) one(name string, named bool) (bool, error) {
	readFile := readRegular
	if named {
		readFile = readOne
	}
	text, err := readFile(name)
	if err != nil {
		return false, err
	}
	var list diag.List
	canonical := format.Source(diag.NewSource(shown(name), text), &list)
	if f.output == "json" {
		return f.answer(name, text, canonical, &list)
	}
	if list.Failed() {
		return false, errors.Join(list.Render(f.talk), leftAlone(name))
	}
	changed := !bytes.Equal(text, canonical)
	switch {
	case f.check && changed:
		_, err = fmt.Fprintln(f.out, shown(name))
	case f.check:
	case !f.write || name == "-":
		_, err = f.out.Write(canonical)
	case changed:
		err = atomicfile.Write(name, canonical, 0o644)
	}
	return changed, err
}

func leftAlone(name string) error { return fmt.Errorf("%s is left as it is", shown(name)) }

// answer is one for programs: what it finds is printed when all files are done.
func (f *formatter) answer(name string, text, canonical []byte, list *diag.List) (bool, error) {
	one := formatted{File: shown(name), Changed: !list.Failed() && !bytes.Equal(text, canonical), Findings: listJSON(list.All)}
	var err error
	switch {
	case list.Failed():
		err = leftAlone(name)
	case f.check:
	case !f.write || name == "-":
		said := string(canonical)
		one.Text = &said
	case one.Changed:
		err = atomicfile.Write(name, canonical, 0o644)
		one.Written = err == nil
	}
	f.files = append(f.files, one)
	return one.Changed, err
}
