package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/control/api"
)

func sourceCommand(v *view) *cobra.Command {
	cmd := &cobra.Command{
		Use: "source", Short: "Who states endpoints besides the configuration: agents",
		Long:    "An agent states what other hosts have. What it stated last stays in force,\nwhatever becomes of it.",
		Example: "  vsctl source list\n  vsctl source list -o json\n  vsctl source accept agent",
	}
	cmd.AddCommand(sourceListCommand(v), sourceAcceptCommand(v))
	return cmd
}

func sourceListCommand(v *view) *cobra.Command {
	return list(v, "list", "The sources, and how each is", `Lists who has called. STALE is how old what it goes by is, CALLED how long ago it
called, HELD how many deletions it holds back. Alarms stand below.`,
		"  vsctl source list\n  vsctl source list --watch 1s\n  vsctl source list -o json", "/v1/status", func(w io.Writer, s *api.Status) {
			columns(w, "SOURCE\tSTATE\tENDPOINTS\tREVISION\tSTALE\tCALLED\tHELD\tDETAIL", func(row func(...any)) {
				for _, o := range s.Sources {
					row(o.Source, o.State, o.Endpoints, o.Revision, seconds(o.StaleSeconds), seconds(o.IdleSeconds), o.Held, o.Detail)
				}
			})
			for _, o := range s.Sources {
				for _, a := range o.Alarms {
					fmt.Fprintf(w, "alarm: %s: %s\n", o.Source, a)
				}
			}
		})
}

func seconds(s float64) string { return fmt.Sprintf("%.0fs", s) }

func sourceAcceptCommand(v *view) *cobra.Command {
	return &cobra.Command{
		Use: "accept SOURCE", Short: "Carry out the deletions that a source holds back",
		Long: `A source that is told of many deletions at once holds them back: a store that has
lost its data says the same as one whose workloads are all gone. This says that
they are meant.

Exit codes: 0 accepted, 1 the switch refused, 2 error.`,
		Args:    cli.OneArg("source"),
		Example: "  vsctl source list\n  vsctl source accept agent\n  vsctl source accept agent -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.change(cmd, "/v1/source/accept", &api.SourceAccept{Source: args[0]})
		},
	}
}
