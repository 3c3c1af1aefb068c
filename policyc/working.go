package main

import (
	"io"
	"sync"

	"github.com/spf13/cobra"

	"bulkhead/policyc/internal/progress"
)

// working gives a command that may take long the bar that shows so, and --quiet.
// The bar ends before the command prints anything: on a terminal both are one
// screen.
func working(cmd *cobra.Command) *cobra.Command {
	quiet := false
	quietFlag(cmd, &quiet)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		bar := progress.Start(quiet, cmd.Name(), 0)
		end := sync.OnceFunc(bar.End)
		defer end()
		if bar != nil {
			cmd.SetOut(&after{end, cmd.OutOrStdout()})
			cmd.SetErr(&after{end, cmd.ErrOrStderr()})
		}
		return run(cmd, args)
	}
	return cmd
}

// after is a writer that does something before it first writes.
type after struct {
	first func() // more than once is as once
	to    io.Writer
}

func (a *after) Write(p []byte) (int, error) {
	a.first()
	return a.to.Write(p)
}

func quietFlag(cmd *cobra.Command, quiet *bool) {
	cmd.Flags().BoolVar(quiet, "quiet", false, "show no progress")
}
