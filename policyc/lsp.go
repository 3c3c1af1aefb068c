package main

import (
	"errors"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"bulkhead/policyc/internal/lsp"
	"bulkhead/vswitch/cli"
)

func lspCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lsp [FILE...]",
		Short: "Serve an editor by the Language Server Protocol",
		Long: `Speaks the Language Server Protocol on standard input and output: findings as you
type, completion, what a name means, where it is defined and used, renaming,
formatting. FILEs are those of one policy and are checked together; any other
file that the editor opens is checked by itself.

Exit codes: 0 the editor said goodbye, 1 it just went, 2 error.`,
		Example: `  policyc lsp </dev/null
  policyc lsp policy.toml </dev/null
  policyc lsp platform.toml shop.toml </dev/null`,
		ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			debug.SetGCPercent(lsp.Collect)
			orderly, err := lsp.New(cli.Version(), args).Serve(os.Stdin, os.Stdout)
			if err != nil {
				return errors.Join(errors.New("the editor does not read"), err)
			}
			if !orderly {
				return answerNo{}
			}
			return nil
		},
	}
}
