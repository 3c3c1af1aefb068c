package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/atomicfile"
	"bulkhead/policyc/internal/budget"
	"bulkhead/policyc/internal/progress"
)

func buildCommand() *cobra.Command {
	var out string
	var generation uint64
	var limit budget.Limit
	var quiet bool
	cmd := &cobra.Command{
		Use:   "build FILE... -o OUT",
		Short: "Compile policies into the table that vswitchd loads",
		Long: `Compiles the files together into one table and runs the tests they carry; a
failing test fails the build. OUT is written whole or not at all; - is standard
output. The same source gives the same bytes, on any machine, in any folder, in
any order of the files. A policy over the budget is refused, and the rules are
named that make it so; policyc stats says what it costs.

Exit codes: 0 built, 1 the policy has mistakes, a test failed, or it is over the
budget, 2 error.`,
		Example: `  policyc build policy.toml -o policy.bhp
  policyc build platform.toml shop.toml -o policy.bhp
  policyc build policy.toml -o policy.bhp --generation 7 --max-touches 31`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(goodOutput(out, args), goodLimit(limit), goodGeneration(generation)); err != nil {
				return err
			}
			sources, err := read(args)
			if err != nil {
				return err
			}
			if err := goodOutput(out, namesOf(sources)); err != nil {
				return err
			}
			bar := progress.Start(quiet, "check", 0)
			rs, findings := compile.Compile(sources, compile.Options{Generation: generation, Step: bar.Step})
			bar.End()
			if err := report(cmd, findings); err != nil {
				return err
			}
			if err := affordable(cmd, limit, rs); err != nil {
				return err
			}
			return write(cmd, out, rs)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the table to `OUT`")
	limitFlags(cmd, &limit)
	quietFlag(cmd, &quiet)
	cmd.Flags().Uint64Var(&generation, "generation", 0, "number the table `N`")
	return cmd
}

// goodGeneration refuses a number that a switch would.
func goodGeneration(n uint64) error {
	if n > policy.MaxGeneration {
		return fmt.Errorf("--generation %d is too large; 0 to %d", n, uint64(policy.MaxGeneration))
	}
	return nil
}

// affordable refuses a policy that is over its budget; without one nothing is
// measured.
func affordable(cmd *cobra.Command, limit budget.Limit, rs *policy.Ruleset) error {
	if limit == (budget.Limit{}) {
		return nil
	}
	identities := budget.Population(rs, nil)
	cost, err := budget.Measure(rs, identities)
	if err != nil {
		return fmt.Errorf("the switch would refuse it: %w", err)
	}
	over, err := within(limit, rs, identities, cost)
	if err != nil {
		return err
	}
	return over.report(cmd.ErrOrStderr())
}

// goodOutput refuses to write the table over its own source.
func goodOutput(out string, sources []string) error {
	if out == "" {
		return errors.New("no output is named; use -o OUT")
	}
	target, err := os.Stat(out)
	if err != nil || out == "-" {
		return nil
	}
	for _, name := range sources {
		if source, err := os.Stat(name); err == nil && name != "-" && os.SameFile(source, target) {
			return fmt.Errorf("-o %s is the source %s; name another file", out, name)
		}
	}
	return nil
}

// write writes the table, and says so where that does not mix with it.
func write(cmd *cobra.Command, out string, rs *policy.Ruleset) error {
	data, err := policy.Encode(rs)
	if err != nil {
		return err
	}
	var talk io.Writer = cmd.OutOrStdout()
	if out == "-" {
		_, err = cmd.OutOrStdout().Write(data)
		talk = cmd.ErrOrStderr()
	} else {
		err = atomicfile.Write(out, data, 0o644)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(talk, "%s: %s, %s, %s\n", out, count(len(rs.Rules), "rule"), count(len(rs.Sets)-1, "set"), count(len(data), "byte"))
	return err
}
