// Command policyc is the policy compiler: it checks policies, explains them,
// and compiles them into the tables that vswitchd loads.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	return exitCode(cli.Run(context.Background(), command(), args), os.Stderr)
}

// exitCode is how the program ends; what could not be answered it says to w.
func exitCode(err error, w io.Writer) int {
	var no answerNo
	switch {
	case err == nil:
		return 0
	case errors.As(err, &no):
		return exitNo
	}
	fmt.Fprintf(w, "policyc: %s\n", strings.ReplaceAll(err.Error(), "\n", "\npolicyc: "))
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

From nothing to a signed table:
  1. policyc init policy.toml               a policy to begin with: make it yours
  2. policyc check policy.toml              every mistake at once, and its tests
  3. policyc query policy.toml --to db      who can reach db, on what, by which rule
  4. policyc build policy.toml -o policy.bhp --generation 1
  5. policyc keygen policy-key              once; policy_keys of vswitchd trusts it
  6. policyc sign policy.bhp --key policy-key
  7. policyc verify policy.bhp --key policy-key.pub
  8. vsctl policy load policy.bhp           on the switch

policyc help language has the language in a page; the topics below have the rest.

Exit codes: 0 yes (good, allowed), 1 no (mistakes, denied), 2 error.`,
		Example: `  policyc check policy.toml
  policyc build policy.toml -o policy.bhp
  policyc query policy.toml --from web --to db --port tcp/5432`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.AddCommand(initCommand(), fmtCommand(), lspCommand(), keygenCommand(), signCommand(), verifyCommand(), importCommand(), exportCommand())
	root.AddCommand(buildCommand(), replayCommand()) // these know how far they are
	for _, cmd := range []*cobra.Command{checkCommand(), queryCommand(), explainCommand(), diffCommand(), lintCommand(), testCommand(), matrixCommand(), statsCommand()} {
		root.AddCommand(working(cmd))
	}
	root.AddCommand(topicCommands()...)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return noEmptyFlags(cmd) }
	cli.Finish(root)
	return root
}
