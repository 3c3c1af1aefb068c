package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/bench/report"
	"bulkhead/bench/run"
	"bulkhead/bench/scenario"
)

type options struct {
	rounds           int
	seconds          float64
	seed             uint64
	output, vswitchd string
}

func runCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run SCENARIO...|all",
		Short: "Run scenarios and print what they found",
		Long: `Runs the scenarios. Each runs all its subjects in every round, in turn; a round of
a subject lasts --seconds (round-trip times: that long for TCP and again for UDP),
and its set-up a moment more, so a scenario takes about a minute as it stands.

walk needs no privilege. The others need root, iproute2 and nftables; they make
their own network namespaces and remove them, also when interrupted, and send
nothing outside them.`,
		Example: `  vsbench run walk
  vsbench run tap-tcp --rounds 10 --seconds 5
  vsbench run all -o json > report.json`,
		ValidArgs: append(scenario.Names(), "all"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("no scenario is named; one of %s, or all", strings.Join(scenario.Names(), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runScenarios(cmd, args, o) },
	}
	cmd.Flags().IntVar(&o.rounds, "rounds", 5, "measure `N` times; a verdict needs 3")
	cmd.Flags().Float64Var(&o.seconds, "seconds", 2, "each for `N` seconds")
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "of payloads and of the order of sessions: `N`")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "`text` or json")
	cmd.Flags().StringVar(&o.vswitchd, "vswitchd", "", "the daemon's `PATH` (default: beside vsbench, or on the PATH)")
	return cmd
}

func (o *options) check() error {
	switch {
	case o.rounds < 1:
		return errors.New("--rounds is at least 1")
	case o.seconds < 0.05 || o.seconds > 3600:
		return errors.New("--seconds is 0.05 to 3600")
	case o.output != "text" && o.output != "json":
		return fmt.Errorf("--output %q: text or json", o.output)
	}
	return nil
}

func runScenarios(cmd *cobra.Command, args []string, o options) error {
	scenarios, err := find(args)
	if err = errors.Join(err, o.check()); err != nil {
		return err
	}
	progress := newProgress(os.Stderr)
	r := &report.Report{
		Schema: report.Schema, Command: commandLine(os.Args), Revision: run.Revision(), Started: time.Now().UTC().Truncate(time.Second),
		Seed: o.seed, Machine: run.Machine(), Figures: []report.Figure{}, Ratios: []report.Ratio{},
	}
	err = run.All(cmd.Context(), scenarios, run.Options{
		Rounds: o.rounds, For: time.Duration(o.seconds * float64(time.Second)), Seed: o.seed,
		VSwitchd: daemon(o.vswitchd), Progress: progress.show,
	}, r)
	progress.clear()
	if err != nil {
		return err
	}
	write := r.Text
	if o.output == "json" {
		write = r.JSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if len(r.Failures) > 0 {
		return fmt.Errorf("%w: %s", errFailed, strings.Join(r.Failures, "; "))
	}
	return nil
}

// find returns the scenarios that are named, each once.
func find(names []string) ([]scenario.Scenario, error) {
	if slices.Contains(names, "all") {
		return scenario.All(), nil
	}
	var out []scenario.Scenario
	var errs []error
	for i, name := range names {
		sc, found := scenario.Find(name)
		switch {
		case !found:
			errs = append(errs, fmt.Errorf("no scenario is called %q; one of %s, or all", name, strings.Join(scenario.Names(), ", ")))
		case !slices.Contains(names[:i], name):
			out = append(out, sc)
		}
	}
	return out, errors.Join(errs...)
}

// daemon finds vswitchd: where it was named, beside this program, or on the
// path.
func daemon(named string) string {
	if named != "" {
		return named
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "vswitchd")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	path, _ := exec.LookPath("vswitchd")
	return path
}

// commandLine writes the words as a shell reads them.
func commandLine(args []string) string {
	words := []string{filepath.Base(args[0])}
	for _, w := range args[1:] {
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$&|;<>()*?[]#~`!{}") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}
