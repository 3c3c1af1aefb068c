// Command policyc is the policy compiler: it checks policies, explains them,
// and compiles them into the tables that vswitchd loads.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
)

// Exit codes, as --help states them.
const (
	exitNo    = 1 // the answer is no: the policy has mistakes, the connection is denied
	exitError = 2 // the question could not be answered
)

func main() { os.Exit(run(os.Args[1:])) }

// run is main, for the tests.
func run(args []string) int {
	err := cli.Run(context.Background(), command(), args)
	var no answerNo
	switch {
	case err == nil:
		return 0
	case errors.As(err, &no):
		return exitNo
	}
	fmt.Fprintf(os.Stderr, "policyc: %s\n", strings.ReplaceAll(err.Error(), "\n", "\npolicyc: "))
	return exitError
}

// answerNo says that a command's answer is no, and has been printed.
type answerNo struct{}

func (answerNo) Error() string { return "no" }

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "policyc",
		Short: "Compile and ask policies",
		Long: `policyc compiles policies (who may connect to whom, by service) into the tables
that vswitchd loads, and answers questions about them.

From nothing to a table:
  1. write who is who and who may connect to whom: docs/policy.md
  2. policyc check policy.toml            every mistake at once
  3. policyc build policy.toml -o policy.bhp
  4. vsctl policy load policy.bhp

Exit codes: 0 yes (good, allowed), 1 no (mistakes, denied), 2 error.`,
		Example: `  policyc check policy.toml
  policyc build policy.toml -o policy.bhp
  policyc query policy.toml --from web --to db --port tcp/5432`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.AddCommand(buildCommand(), checkCommand(), fmtCommand(), queryCommand(), explainCommand(), diffCommand(), lintCommand(), testCommand(),
		matrixCommand(), exportCommand(), statsCommand(), replayCommand(), keygenCommand(), signCommand(), verifyCommand(), importCommand(), lspCommand())
	cli.Finish(root)
	return root
}
