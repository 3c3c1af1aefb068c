package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bulkhead/policyc/compile"
)

func checkCommand() *cobra.Command {
	out := &answerForm{}
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
  policyc check policy.toml -o json
  cat policy.toml | policyc check -`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			sources, err := read(args)
			if err != nil {
				return err
			}
			now, err := at.second()
			if err != nil {
				return err
			}
			p, findings := compile.CheckAt(sources, compile.Moments{Now: now})
			if out.name == "json" {
				return reportJSON(cmd, findings, checkedOf(p, findings))
			}
			if err := report(cmd, findings); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "good: %s, %s, %s, %s passed\n", count(len(p.Services), "service"),
				count(len(p.Networks), "network"), count(len(p.Rules), "rule"), count(len(p.Tests), "test"))
			return err
		},
	}
	out.flag(cmd, "text", "json")
	at.flag(cmd, "warn of what has expired at")
	return cmd
}

// checked is what check prints as JSON. What is counted is what was understood:
// of a policy with mistakes not all of it.
type checked struct {
	Good     bool          `json:"good"`
	Errors   int           `json:"errors"`
	Warnings int           `json:"warnings"`
	Services int           `json:"services"`
	Networks int           `json:"networks"`
	Rules    int           `json:"rules"`
	Tests    int           `json:"tests"`
	Findings []findingJSON `json:"findings"`
}

func checkedOf(p *compile.Policy, f compile.Findings) *checked {
	return &checked{!f.Failed(), f.Errors(), f.Warnings(), len(p.Services), len(p.Networks), len(p.Rules), len(p.Tests), findingsJSON(f)}
}
