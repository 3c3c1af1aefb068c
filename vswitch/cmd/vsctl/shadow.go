package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bulkhead/vswitch/cli"
	"bulkhead/vswitch/control/api"
)

// policyShadowCommand is what is asked and done about a candidate; policy load --shadow
// makes one.
func policyShadowCommand(v *view) *cobra.Command {
	cmd := &cobra.Command{
		Use: "shadow", Short: "What a candidate would do: show, commit, abort",
		Long: `A candidate is a policy that stands beside the one in force and decides nothing:
vsctl policy load --shadow FILE links it. Each session that is open is asked
about when it is shown, and each new decision when it is made, of both. What the
candidate would close, deny, or allow besides is counted by its rules, with
examples. There is one at a time; it follows every change of endpoints.

commit puts it in force as it stands, by one pointer: it is linked already. What
load asks of signature and generation is asked when it comes, and by commit.`,
		Example: `  vsctl policy load --shadow new.bhp
  vsctl policy shadow show
  vsctl policy shadow commit`,
	}
	cmd.AddCommand(
		list(v, "show", "What the candidate would do to what is open, and would have done since", `SESSIONS are open now and would be closed by their next packet. DECISIONS are new
connections, packets of stateless rules and denied packets of which the candidate
said another thing, since it stands. A rule is the candidate's; (default deny) is
none.`,
			"  vsctl policy shadow show\n  vsctl policy shadow show -o json | jq .changes\n  vsctl policy shadow show --watch 5s", "/v1/policy/shadow", shadowText),
		&cobra.Command{
			Use: "commit", Short: "Put the candidate in force", Args: cli.NoArgs,
			Long:    "Open connections are asked about again at their next packet.\n\nExit codes: 0 it is in force, 1 the switch refused, 2 error.",
			Example: "  vsctl policy shadow commit\n  vsctl policy shadow commit -o json\n  vsctl policy load --shadow new.bhp && vsctl policy shadow commit",
			RunE:    func(cmd *cobra.Command, _ []string) error { return v.change(cmd, "/v1/policy/shadow/commit", nil) },
		},
		&cobra.Command{
			Use: "abort", Short: "Forget the candidate", Args: cli.NoArgs,
			Long:    "The policy in force is as it was.\n\nExit codes: 0 it is forgotten, 1 there was none, 2 error.",
			Example: "  vsctl policy shadow abort\n  vsctl policy shadow abort -o json\n  vsctl policy shadow abort && vsctl policy load --shadow other.bhp",
			RunE:    func(cmd *cobra.Command, _ []string) error { return v.change(cmd, "/v1/policy/shadow/abort", nil) },
		},
	)
	return cmd
}

// loadShadow makes a candidate of a policy, and says what it would do.
func (v *view) loadShadow(cmd *cobra.Command, p *api.PolicyLoad) error {
	s := new(api.Shadow)
	if err := v.client().Post(cmd.Context(), "/v1/policy/shadow", p, s); err != nil {
		return err
	}
	return v.print(cmd.OutOrStdout(), s, func(w io.Writer) { shadowText(w, s) })
}

// shadowText writes what a candidate would do.
func shadowText(w io.Writer, s *api.Shadow) {
	if !s.Stands {
		fmt.Fprintln(w, "no candidate stands")
		if s.Error != "" {
			fmt.Fprintln(w, "warning:", s.Error)
		}
		return
	}
	fmt.Fprintf(w, "%s: generation %d, source %.12s, %s; stands for %s\n", s.File, s.Generation, s.SourceHash, count(s.Rules, "rule"),
		(time.Duration(s.StandsSeconds) * time.Second))
	fmt.Fprintf(w, "open sessions: %d asked, %d would be closed", s.Sessions, s.SessionsCut)
	if s.SessionsUnknown > 0 {
		fmt.Fprintf(w, ", %d more cannot be asked about", s.SessionsUnknown)
	}
	fmt.Fprintf(w, "\nnew decisions: %d asked, %d would have been denied, %d allowed\n", s.Decisions, s.DecisionsDenied, s.DecisionsAllowed)
	if len(s.Changes) == 0 {
		return
	}
	fmt.Fprintln(w)
	columns(w, "CHANGE\tRULE\tSESSIONS\tDECISIONS\tPLACE", func(row func(...any)) {
		for _, c := range s.Changes {
			row(c.Change, orDefault(c.Rule), c.Sessions, c.Decisions, c.Place)
		}
	})
	if s.More {
		fmt.Fprintln(w, "not all rules are listed")
	}
	fmt.Fprintln(w)
	columns(w, "CHANGE\tOF\tPROTO\tSOURCE\tDESTINATION\tFROM\tTO\tIN FORCE\tCANDIDATE", func(row func(...any)) {
		for _, e := range s.Examples {
			row(e.Change, e.Of, e.Proto, e.Source, e.Destination, e.From, e.To, orDefault(e.LiveRule), orDefault(e.Rule))
		}
	})
}

func orDefault(rule string) string {
	if rule == "" {
		return "(default deny)"
	}
	return rule
}
