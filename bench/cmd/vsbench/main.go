// Command vsbench measures the switch beside what else the machine has.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
)

// Exit codes.
const (
	exitFailed      = 1 // a scenario failed, the others are in the report; or an answer was wrong
	exitError       = 2
	exitInterrupted = 130
)

// errFailed says that the report has failures.
var errFailed = errors.New("not every scenario could be measured")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := cli.Run(ctx, command(), os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "vsbench: %v\n", err)
	os.Exit(exitCode(err))
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errFailed), errors.Is(err, errWrong), errors.Is(err, errMissing):
		return exitFailed
	}
	return exitError
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "vsbench",
		Short: "Measure the switch beside its peers",
		Long: `vsbench measures the walk and the policy tables in memory, and real traffic between
two network namespaces through vswitchd and, in the same rounds by turns, through
the kernel's bridge and nftables, Open vSwitch in user space, and DPDK's testpmd.
It prints medians with their spread, ratios of the same rounds, and a winner only
where the spreads do not overlap.

Exit codes: 0 measured, 1 a scenario failed (the report says which and why), or an
answer was wrong, 2 error, 130 interrupted.`,
		Example: `  vsbench run walk
  vsbench run tap-tcp tap-rtt --rounds 5 -o json
  vsbench classify --rules acl1_1k --trace acl1_1k_trace --expect acl1_1k.expect`,
		SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
	}
	root.AddCommand(listCommand(), runCommand(), reportCommand(), classifyCommand(), peersCommand())
	cli.Finish(root)
	return root
}
