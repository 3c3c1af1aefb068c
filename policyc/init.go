package main

import (
	_ "embed"
	"fmt"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
)

// first is a policy to begin with. It is right, says nothing twice, and its
// tests exercise each of its rules: the scripts hold it to that.
//
//go:embed first.toml
var first []byte

func initCommand() *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use:   "init FILE",
		Short: "Write a policy to begin with",
		Long: `Writes a small policy that is right, with services, a network, rules and tests, to
FILE; - is standard output. A file that is there is never overwritten. Change it to
what is yours: policyc help language says how.

Exit codes: 0 written, 2 error.`,
		Example: `  policyc init shop-policy.toml
  policyc init - | policyc check -
  policyc init new-policy.toml -o json`,
		Args: cli.OneArg("file"), DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := goodFormat(output); err != nil {
				return err
			}
			if args[0] == "-" {
				_, err := cmd.OutOrStdout().Write(first)
				return err
			}
			if err := goodFileName(args[0]); err != nil {
				return err
			}
			if err := create(args[0], first, 0o644); err != nil {
				return err
			}
			next := "policyc check " + args[0]
			return done(cmd.OutOrStdout(), output, fmt.Sprintf("%s: a policy to begin with; next: %s", args[0], next), begun{args[0], len(first), next})
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

// begun is what init prints as JSON.
type begun struct {
	File  string `json:"file"`
	Bytes int    `json:"bytes"`
	Next  string `json:"next"` // the command to go on with
}
