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
	f := &formatter{}
	cmd := &cobra.Command{
		Use:   "fmt [-w | --check] FILE...",
		Short: "Write policies in their canonical form",
		Long: `Prints the canonical form. Comments stay, the meaning stays, and formatting twice
changes nothing more. A file that cannot be read as TOML is reported and left
alone; the others are formatted.

Exit codes: 0 done, 1 with --check: a file is not in canonical form, 2 error.`,
		Example: `  policyc fmt policy.toml
  policyc fmt -w policy.toml shop.toml
  policyc fmt --check *.toml`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.out, f.talk = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return f.all(args)
		},
	}
	cmd.Flags().BoolVarP(&f.write, "write", "w", false, "write each file back instead of printing it")
	cmd.Flags().BoolVar(&f.check, "check", false, "only name the files that would change")
	cmd.MarkFlagsMutuallyExclusive("write", "check")
	return cmd
}

type formatter struct {
	write, check bool
	out, talk    io.Writer
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
	formatted := format.Source(diag.NewSource(shown(name), text), &list)
	if list.Failed() {
		return false, errors.Join(list.Render(f.talk), fmt.Errorf("%s is left as it is", shown(name)))
	}
	changed := !bytes.Equal(text, formatted)
	switch {
	case f.check && changed:
		_, err = fmt.Fprintln(f.out, shown(name))
	case f.check:
	case !f.write || name == "-":
		_, err = f.out.Write(formatted)
	case changed:
		err = atomicfile.Write(name, formatted, 0o644)
	}
	return changed, err
}
