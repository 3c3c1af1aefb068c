package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// outputFlag adds -o, which every command has that answers a question.
func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "print as `FORMAT`: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func goodFormat(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("output %q is not known; text or json", output)
	}
	return nil
}
