package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/policyc/internal/analyze"
)

func lintCommand() *cobra.Command {
	out := &answerForm{}
	strict, apart := false, false
	at := &moment{}
	cmd := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Find rules that do nothing, clash, or allow too much",
		Long: `Finds what is legal and probably not meant, each with a connection that shows it
and the rules that are involved:

  never-matches  no connection can match the rule
  shadowed       other rules decide all that it matches
  redundant      without it other rules decide the same
  idle           a pass, or a rule of one end, that changes no answer
  hidden-deny    rules that come before it let some of what it denies by
  over-broad     it allows everybody to connect to everybody, or every port
  unused         no rule names the service or network, itself or by a group
  expired        the rule's time is over
  one-way        a stateless rule, and no stateless rule for the way back
  conflict       (a note) it denies some of what rules of its own rank allow
  guard          (a note) it denies what no rule allows

All rules that do nothing can be taken away together: it means the same. Rules
that are not valid at the time are as if they were not there.

Thousands of services and hundreds of networks are too many together: an endpoint
may be in any of the one and of the other. With --apart it is in no network, but in
those that hold every address, as where networks are of addresses outside; what
then does nothing may do something for an endpoint that is in one.

Exit codes: 0 nothing but notes, 1 findings (with --strict also notes), 2 error.`,
		Example: `  policyc lint policy.toml
  policyc lint platform.toml shop.toml --strict
  policyc lint policy.toml --apart -o json`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			p, err := policyOf(cmd, args)
			if err != nil {
				return err
			}
			now, err := at.second()
			if err != nil {
				return err
			}
			look := analyze.Lint
			if apart {
				look = analyze.LintApart
			}
			found, err := look(p, now)
			if errors.Is(err, analyze.ErrNetworks) {
				return fmt.Errorf("%w; or with --apart, if no endpoint has an address in a network", err)
			}
			if err != nil {
				return err
			}
			return printLint(cmd.OutOrStdout(), found, out.name, strict)
		},
	}
	out.flag(cmd, "text", "json")
	at.flag(cmd, "judge the policy of")
	cmd.Flags().BoolVar(&apart, "apart", false, "take no endpoint to have an address in a network, but in one of all addresses")
	cmd.Flags().BoolVar(&strict, "strict", false, "let notes fail, too")
	return cmd
}

// lintJSON is a finding for programs.
type lintJSON struct {
	Kind    analyze.Kind `json:"kind"`
	Note    bool         `json:"note"`
	Name    string       `json:"name"`
	Place   string       `json:"place"`
	Text    string       `json:"text"`
	Witness *packetJSON  `json:"witness,omitempty"`
	Others  []string     `json:"others,omitempty"`
}

func printLint(w io.Writer, found []analyze.Finding, output string, strict bool) error {
	bad := 0
	all := make([]lintJSON, 0, len(found))
	for _, f := range found {
		if !f.Note || strict {
			bad++
		}
		all = append(all, lintJSON{f.Kind, f.Note, f.Name, placeOf(f.At), f.Text, packetOf(f.Witness), ruleNames(f.Others)})
	}
	var err error
	if output == "json" {
		err = printJSON(w, map[string]any{"findings": all})
	} else {
		_, err = io.WriteString(w, lintText(all))
	}
	if err == nil && bad > 0 {
		err = answerNo{}
	}
	return err
}

func lintText(all []lintJSON) string {
	if len(all) == 0 {
		return "nothing found\n"
	}
	var b strings.Builder
	for _, f := range all {
		note := ""
		if f.Note {
			note = "note: "
		}
		fmt.Fprintf(&b, "%s: %s%s: %s: %s\n", f.Place, note, f.Kind, f.Name, f.Text)
		if len(f.Others) > 0 {
			fmt.Fprintf(&b, "    rules: %s\n", few(f.Others))
		}
		if f.Witness != nil {
			fmt.Fprintf(&b, "    shown by: %s -> %s %s\n", f.Witness.From, f.Witness.To, f.Witness.Port)
		}
	}
	return b.String()
}
