package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bulkhead/policyc/compile"
)

func checkCommand() *cobra.Command {
	at := &moment{}
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Report every mistake in policies, and run their tests",
		Long: `Reports every mistake at once: where, what, the nearest right name, the cure.
A FILE may be a folder: its .toml files and those of the folders in it.
Warnings do not fail the check. When nothing is wrong the tests that the files
carry are run; a test that states no time is asked of all times. Rules that have
expired are warned of.

Exit codes: 0 good, 1 mistakes or a test failed, 2 error.`,
		Example: `  policyc check policy.toml
  policyc check platform.toml shop.toml
  policyc check policy.toml --at 2027-01-01T00:00:00Z
  cat policy.toml | policyc check -`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, err := read(args)
			if err != nil {
				return err
			}
			now, err := at.second()
			if err != nil {
				return err
			}
			p, findings := compile.CheckAt(sources, compile.Moments{Now: now})
			if err := report(cmd, findings); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "good: %s, %s, %s, %s passed\n", count(len(p.Services), "service"),
				count(len(p.Networks), "network"), count(len(p.Rules), "rule"), count(len(p.Tests), "test"))
			return err
		},
	}
	at.flag(cmd, "warn of what has expired at")
	return cmd
}
