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
	var out target
	var generation uint64
	var limit budget.Limit
	var quiet bool
	var cache string
	cmd := &cobra.Command{
		Use:   "build FILE... -o OUT",
		Short: "Compile policies into the table that vswitchd loads",
		Long: `Compiles the files together into one table and runs the tests they carry; a
failing test fails the build. OUT is written whole or not at all; - is standard
output. The same source gives the same bytes, on any machine, in any folder, in
any order of the files. A policy over the budget is refused, and the rules are
named that make it so; policyc stats says what it costs.

With --cache FILE the build keeps FILE, and the next one takes from it all rules
that are as they were: at 100,000 rules it is done in a fraction of the time. The
table is the same. A cache that is damaged, of another policyc or of other files is
not used; it is as much worth guarding as OUT. A policy with warnings keeps none.

Exit codes: 0 built, 1 the policy has mistakes, a test failed, or it is over the
budget, 2 error.`,
		Example: `  policyc build policy.toml -o policy.bhp
  policyc build platform.toml shop.toml -o policy.bhp -o json
  policyc build policy.toml -o policy.bhp --cache policy.cache
  policyc build policy.toml -o policy.bhp --generation 7 --max-touches 31`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(out.good(args), goodLimit(cmd, limit), goodGeneration(generation)); err != nil {
				return err
			}
			sources, err := read(args)
			if err != nil {
				return err
			}
			keep := cacheFile(cache)
			if err := errors.Join(out.good(namesOf(sources)), keep.check(out.file, namesOf(sources))); err != nil {
				return err
			}
			bar := progress.Start(quiet, "check", 0)
			table, findings, err := build(sources, keep, compile.Options{Generation: generation, Step: bar.Step})
			bar.End()
			if err != nil {
				return err
			}
			b := &built{File: out.file, Generation: generation, Findings: findingsJSON(findings)}
			if !findings.Failed() {
				b.table = table
				err = errors.Join(b.write(cmd.OutOrStdout(), limit), b.keep(keep))
			}
			if err != nil {
				return errors.Join(findings.Render(cmd.ErrOrStderr()), err)
			}
			return b.report(cmd, &out, findings)
		},
	}
	out.flag(cmd, "write the table to `OUT`")
	limitFlags(cmd, &limit)
	quietFlag(cmd, &quiet)
	cmd.Flags().StringVar(&cache, "cache", "", "take from `FILE` what is as it was, and keep it for the next build")
	cmd.Flags().Uint64Var(&generation, "generation", 0, "number the table `N`")
	return cmd
}

// build compiles the sources, with what a build before has kept.
func build(sources []compile.Source, cache cacheFile, o compile.Options) (*compile.Table, compile.Findings, error) {
	var err, err2 error
	o.Kept, err = cache.read()
	o.Tool, err2 = cache.tool()
	if err := errors.Join(err, err2); err != nil {
		return nil, compile.Findings{}, err
	}
	return compile.Build(sources, o)
}

// goodGeneration refuses a number that a switch would.
func goodGeneration(n uint64) error {
	if n > policy.MaxGeneration {
		return fmt.Errorf("--generation %d is too large; 0 to %d", n, uint64(policy.MaxGeneration))
	}
	return nil
}

// affordable tells by how much a policy is over its budget; without one nothing is
// measured.
func affordable(limit budget.Limit, rs *policy.Ruleset) (*overrun, error) {
	if limit == (budget.Limit{}) {
		return nil, nil
	}
	identities := budget.Population(rs, nil)
	cost, err := budget.Measure(rs, identities)
	if err != nil {
		return nil, fmt.Errorf("the switch would refuse it: %w", err)
	}
	return within(limit, rs, identities, cost)
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

// built is what build prints as JSON. What is not written has no rules, sets and
// bytes: the findings, or the budget, say why.
type built struct {
	File       string        `json:"file"`
	Written    bool          `json:"written"`
	Generation uint64        `json:"generation"`
	Source     string        `json:"source"` // the hash of what the rules say
	Rules      int           `json:"rules"`
	Sets       int           `json:"sets"`
	Bytes      int           `json:"bytes"`
	Reused     int           `json:"reused,omitempty"`   // rules, from the cache
	NotKept    string        `json:"not_kept,omitempty"` // why --cache was not written
	Budget     *overrun      `json:"over_budget,omitempty"`
	Findings   []findingJSON `json:"findings"`

	table *compile.Table // nil: the policy has mistakes
}

// write writes the table, if it is within the budget.
func (b *built) write(stdout io.Writer, limit budget.Limit) error {
	rs, data := b.table.Rules, b.table.Bytes
	over, err := affordable(limit, rs)
	if b.Budget = over; err != nil || over != nil {
		return err
	}
	b.Source, b.Rules, b.Sets, b.Bytes = fmt.Sprintf("%x", rs.SourceHash), len(rs.Rules), len(rs.Sets)-1, len(data)
	if b.File == "-" {
		_, err = stdout.Write(data)
	} else {
		err = atomicfile.Write(b.File, data, 0o644)
	}
	b.Written, b.Reused = err == nil, b.table.Reused
	return err
}

// keep keeps what was written for the next build, or notes why it cannot be.
func (b *built) keep(cache cacheFile) error {
	if cache == "" || !b.Written {
		return nil
	}
	if b.NotKept = b.table.Why; b.NotKept != "" {
		return nil
	}
	return cache.write(b.table.Kept)
}

// report says what became of it: no, where nothing was written.
func (b *built) report(cmd *cobra.Command, out *target, findings compile.Findings) error {
	if out.json() {
		err := printJSON(out.talk(cmd), b)
		if err == nil && !b.Written {
			err = answerNo{}
		}
		return err
	}
	if err := report(cmd, findings); err != nil {
		return err
	}
	if b.Budget != nil {
		return b.Budget.report(cmd.ErrOrStderr())
	}
	if b.NotKept != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "the cache is not written: %s\n", b.NotKept)
	}
	reused := ""
	if b.Reused > 0 {
		reused = fmt.Sprintf(", %d of the rules from the cache", b.Reused)
	}
	_, err := fmt.Fprintf(out.talk(cmd), "%s: %s, %s, %s%s\n", b.File, count(b.Rules, "rule"), count(b.Sets, "set"), count(b.Bytes, "byte"), reused)
	return err
}
