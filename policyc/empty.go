package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noEmptyFlags refuses a flag that is given and says nothing. In a script that is
// a variable that is not set, as in --from "$WHO": taken for a flag that is not
// given it would ask another question, whom may anybody reach, and that one is
// answered yes.
func noEmptyFlags(cmd *cobra.Command) error {
	var errs []error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if saysNothing(f) {
			errs = append(errs, fmt.Errorf("--%s is empty; say what, or leave the flag out: is a variable of the shell not set?", f.Name))
		}
	})
	return errors.Join(errs...)
}

// saysNothing tells whether a flag is a text, or a list of texts, that is empty or
// has an empty one.
func saysNothing(f *pflag.Flag) bool {
	switch v := f.Value.(type) {
	case pflag.SliceValue:
		return slices.Contains(v.GetSlice(), "")
	case *target: // -o json alone says something
		return v.file == "" && v.format == ""
	}
	return f.Value.String() == ""
}
