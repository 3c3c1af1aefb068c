package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
)

// noEmptyFlags refuses a flag that is given and says nothing. In a script that is
// a variable that is not set, as in --from "$WHO": taken for a flag that is not
// given it would ask another question, whom may anybody reach, and that one is
// answered yes.
func noEmptyFlags(cmd *cobra.Command) error {
	var errs []error
	for _, name := range cli.EmptyFlags(cmd) {
		errs = append(errs, fmt.Errorf("--%s is empty; say what, or leave the flag out: is a variable of the shell not set?", name))
	}
	return errors.Join(errs...)
}
