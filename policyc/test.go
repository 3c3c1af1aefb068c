package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/check"
)

func testCommand() *cobra.Command {
	out := &answerForm{}
	least := 0
	at := &moment{}
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run a policy's own tests, and say which rules they exercise",
		Long: `Runs the tests that the files carry and prints which rules decide none of what
they ask. A rule that matches and is beaten is not exercised: the test would pass
without it. Rules under audit decide nothing and are not counted. A test that
states no time must hold at all times, or with --at at that one.

Exit codes: 0 all passed, 1 a test failed or less than --min-coverage percent of
the rules are exercised, 2 error.`,
		Example: `  policyc test policy.toml
  policyc test policy.toml --min-coverage 80
  policyc test policy.toml -o json`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if least < 0 || least > 100 {
				return fmt.Errorf("--min-coverage %d is no percentage; 0 to 100", least)
			}
			sources, err := read(args)
			if err != nil {
				return err
			}
			now, err := at.stated()
			if err != nil {
				return err
			}
			p, findings := compile.CheckAt(sources, compile.Moments{Tests: now})
			if findings.Failed() && out.name == "json" {
				return reportJSON(cmd, findings, &failedTests{Findings: findingsJSON(findings)})
			}
			if err := report(cmd, findings); err != nil {
				return err
			}
			c, err := analyze.Cover(p, func(t *check.Test) []int64 { return compile.TimesOf(p, t, now) })
			if err != nil {
				return err
			}
			return coverageOf(p, c, least).print(cmd.OutOrStdout(), out.name)
		},
	}
	out.flag(cmd, "text", "json")
	cmd.Flags().StringVar(&at.text, "at", "", "ask tests that state no time of `TIME`, as 2026-01-01T00:00:00Z; all times")
	_ = cmd.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	cmd.Flags().IntVar(&least, "min-coverage", 0, "ask for at least `N` percent of the rules")
	return cmd
}

// failedTests is what test prints as JSON where a test fails, or the policy has
// mistakes; then nothing is known of what is exercised.
type failedTests struct {
	Passed   bool          `json:"passed"` // false
	Findings []findingJSON `json:"findings"`
}

// coverage is what test prints as JSON where all tests pass.
type coverage struct {
	Passed  bool       `json:"passed"` // true
	Tests   int        `json:"tests"`
	Rules   int        `json:"rules"`
	Covered int        `json:"covered"`
	Percent int        `json:"percent"`
	Default int        `json:"default"` // tests that no rule decides
	Missed  []ruleJSON `json:"missed"`
	Enough  bool       `json:"enough"`
	least   int
}

type ruleJSON struct {
	Rule  string `json:"rule"`
	Place string `json:"place"`
}

func coverageOf(p *compile.Policy, c *analyze.Coverage, least int) *coverage {
	out := &coverage{true, len(p.Tests), len(c.Rules), c.Covered(), c.Percent(), c.Default, []ruleJSON{}, c.Percent() >= least, least}
	for _, r := range c.Rules {
		if r.Tests == 0 {
			out.Missed = append(out.Missed, ruleJSON{r.Rule.Name, placeOf(r.Rule.At)})
		}
	}
	return out
}

func (c *coverage) print(w io.Writer, output string) error {
	var err error
	if output == "json" {
		err = printJSON(w, c)
	} else {
		_, err = io.WriteString(w, c.text())
	}
	if err == nil && !c.Enough {
		err = answerNo{}
	}
	return err
}

func (c *coverage) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s passed; %d of %s exercised (%d %%), and the default by %s\n",
		count(c.Tests, "test"), c.Covered, count(c.Rules, "rule"), c.Percent, count(c.Default, "test"))
	for _, r := range c.Missed {
		fmt.Fprintf(&b, "%s: no test exercises %s\n", r.Place, r.Rule)
	}
	if !c.Enough {
		fmt.Fprintf(&b, "less than the %d %% asked for\n", c.least)
	}
	return b.String()
}
