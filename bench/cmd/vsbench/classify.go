package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/bench/classbench"
	"bulkhead/bench/lookup"
	"bulkhead/bench/run"
	rules "bulkhead/policyc/classbench"
)

// errWrong says that an answer was not the one expected.
var errWrong = errors.New("the classifier is wrong")

type classifyOptions struct {
	rules, trace, expect, output string
	rounds, search               int
	seconds                      float64
}

func classifyCommand() *cobra.Command {
	var o classifyOptions
	cmd := &cobra.Command{
		Use:   "classify --rules FILE --trace FILE [--expect FILE]",
		Short: "Ask the policy tables any ClassBench rule set and trace",
		Long: `Makes the tables of the switch of a rule set, by way of an artifact, and asks them
the headers of a trace. Prints how many answers differ from those expected, ns a
packet one at a time and in batches, the bytes of all tables, the loads of a packet
at the most, and how long the tables took to make. Times are CPU time of one thread,
addresses to identities included; medians of the rounds, in brackets the least and
the most.

A rule is "@src/len dst/len lo : hi lo : hi proto/mask ...", the first that matches
decides. A header is "src dst sport dport proto ...", an expected answer the number
of a rule, from 0, or -1; there may be fewer answers than headers. Files called .zst
are unpacked. Some headers, spread over the trace, are searched in the list as well.

Exit codes: 0 no answer differs, 1 some do, 2 error, 130 interrupted.`,
		Example: `  vsbench classify --rules acl1_1k --trace acl1_1k_trace --expect acl1_1k.expect
  vsbench classify --rules fw1.zst --trace fw1_trace.zst --search 100000 --rounds 0
  vsbench classify --rules my.rules --trace my.trace -o json`,
		Args: cobra.NoArgs, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return classify(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.rules, "rules", "", "the rule set: `FILE`")
	f.StringVar(&o.trace, "trace", "", "the headers: `FILE`")
	f.StringVar(&o.expect, "expect", "", "the answers: `FILE`")
	f.IntVar(&o.rounds, "rounds", 5, "time `N` times; 0 does not time")
	f.Float64Var(&o.seconds, "seconds", 0.5, "each round of each way for `N` seconds, and once through the trace")
	f.IntVar(&o.search, "search", 1000, "search `N` headers in the list, too")
	f.StringVarP(&o.output, "output", "o", "text", "`text` or json")
	return cmd
}

func (o *classifyOptions) check() error {
	var errs []error
	if o.rules == "" || o.trace == "" {
		errs = append(errs, errors.New("--rules FILE and --trace FILE are needed"))
	}
	if o.rounds < 0 || o.search < 0 {
		errs = append(errs, errors.New("--rounds and --search are not below zero"))
	}
	if o.seconds < 0 || o.seconds > 3600 {
		errs = append(errs, errors.New("--seconds is 0 to 3600"))
	}
	if o.output != "text" && o.output != "json" {
		errs = append(errs, fmt.Errorf("--output %q: text or json", o.output))
	}
	return errors.Join(errs...)
}

func classify(cmd *cobra.Command, o classifyOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	p := newProgress(os.Stderr)
	defer p.clear()
	result := &lookup.Result{Command: commandLine(os.Args), Revision: run.Revision(), Machine: run.Machine(),
		Rules: lookup.Rules{File: o.rules}, Trace: lookup.Trace{File: o.trace}}
	set, wrong, err := o.askUntil(cmd.Context(), p, result)
	if err != nil {
		return err
	}
	p.clear()
	if o.output == "json" {
		err = result.JSON(cmd.OutOrStdout())
	} else {
		err = result.Text(cmd.OutOrStdout(), set.Rules)
	}
	if err == nil && wrong {
		err = fmt.Errorf("%w: %d answers differ from those expected, %d of the others from the list, %d from batch to single",
			errWrong, result.Differ, result.Disagree, result.Unstable)
	}
	return err
}

// askUntil is ask, but that an interrupt ends it at once: to link a large set
// takes seconds, in which nobody looks at the context.
func (o *classifyOptions) askUntil(ctx context.Context, p *progress, r *lookup.Result) (*lookup.Set, bool, error) {
	type answer struct {
		set   *lookup.Set
		wrong bool
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		set, wrong, err := o.ask(ctx, p, r)
		done <- answer{set, wrong, err}
	}()
	select {
	case a := <-done:
		return a.set, a.wrong, a.err
	case <-ctx.Done():
		return nil, false, fmt.Errorf("interrupted: %w", ctx.Err())
	}
}

// ask reads the files, all mistakes of them at once, makes the tables, and
// judges and times their answers.
func (o *classifyOptions) ask(ctx context.Context, p *progress, r *lookup.Result) (set *lookup.Set, wrong bool, err error) {
	p.show("reading " + o.rules)
	start := time.Now()
	list, err1 := rules.ReadFile(o.rules)
	r.Build.Read = lookup.Milli(time.Since(start))
	p.show("reading " + o.trace)
	trace, err2 := classbench.ReadTraceFile(o.trace)
	var expect []int
	var err3 error
	if o.expect != "" {
		expect, err3 = classbench.ReadExpectFile(o.expect)
	}
	if err := errors.Join(err1, err2, err3, ctx.Err()); err != nil {
		return nil, false, err
	}
	p.show(fmt.Sprintf("making the tables of %d rules", len(list)))
	if set, err = lookup.New(list); err != nil {
		return nil, false, fmt.Errorf("%s: %w", o.rules, err)
	}
	p.show(fmt.Sprintf("comparing %d answers", len(trace)))
	v, err := set.Judge(trace, expect, o.search)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", o.expect, err)
	}
	r.Take(set, v)
	if o.rounds > 0 {
		single, batched, err := set.Time(ctx, trace, v.Answers, lookup.Options{Rounds: o.rounds, For: time.Duration(o.seconds * float64(time.Second)), Progress: p.show})
		if err != nil {
			return nil, false, err
		}
		r.TakeTimes(&single, &batched)
	}
	return set, v.Wrong(), nil
}
