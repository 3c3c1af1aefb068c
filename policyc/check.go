package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bulkhead/policyc/compile"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Report every mistake in policies, and run their tests",
		Long: `Reports every mistake at once: where, what, the nearest right name, the cure.
A FILE may be a folder: its .toml files and those of the folders in it.
Warnings do not fail the check. When nothing is wrong the tests that the files
carry are run.

Exit codes: 0 good, 1 mistakes or a test failed, 2 error.`,
		Example: `  policyc check policy.toml
  policyc check platform.toml shop.toml
  cat policy.toml | policyc check -`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			sources, err := read(args)
			if err != nil {
				return err
			}
			p, findings := compile.Check(sources)
			if err := report(cmd, findings); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "good: %s, %s, %s, %s passed\n", count(len(p.Services), "service"),
				count(len(p.Networks), "network"), count(len(p.Rules), "rule"), count(len(p.Tests), "test"))
			return err
		},
	}
}
