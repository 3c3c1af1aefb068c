package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bulkhead/bench/scenario"
)

func listCommand() *cobra.Command {
	var long, text bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the scenarios", Args: cobra.NoArgs,
		Long:    `Lists the scenarios by name, one a line, as run takes them.`,
		Example: "  vsbench list\n  vsbench list --long\n  vsbench run $(vsbench list | grep xdp)",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if text {
				_, err := fmt.Fprint(cmd.OutOrStdout(), scenario.TOML)
				return err
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, s := range scenario.All() {
				if !long {
					fmt.Fprintln(t, s.Name)
					continue
				}
				who := "in memory"
				if len(s.Subjects) > 0 {
					who = strings.Join(s.Subjects, " ")
				}
				fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.About, who)
			}
			return t.Flush()
		},
	}
	cmd.Flags().BoolVarP(&long, "long", "l", false, "with what each measures, and of whom")
	cmd.Flags().BoolVar(&text, "toml", false, "as the file that run --scenarios takes, with its keys told")
	return cmd
}
