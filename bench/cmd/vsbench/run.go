package main

import (
	"errors"
	"fmt"
	"io"
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
	rounds                      int
	seconds                     float64
	seed                        uint64
	output, vswitchd, file, dir string
}

func runCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run SCENARIO...|all",
		Short: "Run scenarios and print what they found",
		Long: `Runs the scenarios. Each runs all its subjects in every round, in turn; a
measurement lasts --seconds, and a scenario has one or several for each subject in
each round. All of them, as they stand, take less than half an hour.

What is in memory needs no privilege. The others need root and iproute2; they make
their own network namespaces and remove them, also when interrupted, and send
nothing outside them. A peer that is not installed, or does not run here, is left
out, and the report says why; vsbench peers lists them.

--dir makes DIR/REPORT.md of it, with a picture for each scenario, and
DIR/report.json, from which vsbench report makes both anew.`,
		Example: `  vsbench run walk
  vsbench run tap-tcp --rounds 10 --seconds 5
  vsbench run all --dir docs/bench
  vsbench run --scenarios my.toml all -o json > report.json`,
		ValidArgs: append(scenario.Names(scenario.All()), "all"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("no scenario is named; one of %s, or all", strings.Join(scenario.Names(scenario.All()), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runScenarios(cmd, args, o) },
	}
	cmd.Flags().IntVar(&o.rounds, "rounds", 5, "measure `N` times; a verdict needs 3")
	cmd.Flags().Float64Var(&o.seconds, "seconds", 1, "each for `N` seconds")
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "of payloads and of the order of sessions: `N`")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "`text` or json")
	cmd.Flags().StringVar(&o.vswitchd, "vswitchd", "", "the daemon's `PATH` (default: beside vsbench, or on the PATH)")
	cmd.Flags().StringVar(&o.file, "scenarios", "", "scenarios of your own: `FILE`; vsbench list --toml writes ours")
	cmd.Flags().StringVar(&o.dir, "dir", "", "write REPORT.md, pictures and report.json to `DIR`, too")
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
	known, err := o.scenarios()
	if err != nil {
		return err
	}
	scenarios, err := find(known, args)
	if err = errors.Join(err, o.check()); err != nil {
		return err
	}
	if o.dir != "" { // before half an hour is spent
		if err := os.MkdirAll(o.dir, 0o755); err != nil {
			return err
		}
	}
	progress := newProgress(os.Stderr)
	r := &report.Report{
		Schema: report.Schema, Command: commandLine(os.Args), Revision: run.Revision(), Started: time.Now().UTC().Truncate(time.Second),
		Seed: o.seed, Machine: run.Machine(), Versions: run.Versions(), Figures: []report.Figure{}, Ratios: []report.Ratio{},
	}
	err = run.All(cmd.Context(), scenarios, run.Options{
		Rounds: o.rounds, For: time.Duration(o.seconds * float64(time.Second)), Seed: o.seed,
		VSwitchd: daemon(o.vswitchd), Progress: progress.show,
	}, r)
	progress.clear()
	if err != nil {
		return err
	}
	return o.tell(cmd.OutOrStdout(), r)
}

// scenarios are those of the user's file, or ours.
func (o *options) scenarios() ([]scenario.Scenario, error) {
	if o.file == "" {
		return scenario.All(), nil
	}
	text, err := os.ReadFile(o.file)
	if err != nil {
		return nil, err
	}
	return scenario.Read(o.file, string(text))
}

// tell writes what was found.
func (o *options) tell(w io.Writer, r *report.Report) error {
	write := r.Text
	if o.output == "json" {
		write = r.JSON
	}
	if err := write(w); err != nil {
		return err
	}
	if o.dir != "" {
		if err := publish(o.dir, r, true); err != nil {
			return err
		}
	}
	if len(r.Failures) > 0 {
		return fmt.Errorf("%w: %s", errFailed, strings.Join(r.Failures, "; "))
	}
	return nil
}

// find returns the scenarios that are named, each once.
func find(known []scenario.Scenario, names []string) ([]scenario.Scenario, error) {
	if slices.Contains(names, "all") {
		return known, nil
	}
	var out []scenario.Scenario
	var errs []error
	for i, name := range names {
		sc, found := scenario.Find(known, name)
		switch {
		case !found:
			errs = append(errs, fmt.Errorf("no scenario is called %q; one of %s, or all", name, strings.Join(scenario.Names(known), ", ")))
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
