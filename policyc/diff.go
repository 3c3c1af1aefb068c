package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bulkhead/policyc/internal/analyze"
)

func diffCommand() *cobra.Command {
	out := &answerForm{}
	at := &moment{}
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "What do two policies allow and deny differently?",
		Long: `Compares what two policies mean, not how they are written: what becomes allowed
and what becomes denied, by service and port, each with a connection that shows
it; and what stays allowed and becomes stateless, or is so no more. OLD and NEW
are a file each, or a folder of files. The comparison is exact, also for
endpoints and addresses that are not there yet. A name that the two define
differently is marked (old) or (new); "a & !b" are those in a and not in b,
"others" those in nothing that a rule names. Where rules have times the two are
compared at all times, and each change says when it holds.

Exit codes: 0 they mean the same, 1 they differ, 2 error.`,
		Example: `  policyc diff policy.toml new.toml
  policyc diff policy.toml new.toml -o markdown
  policyc diff policy.toml new.toml -o json`,
		Args: twoPolicies, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			d, err := compare(cmd, args[0], args[1], at)
			if err != nil {
				return err
			}
			return d.print(cmd.OutOrStdout(), out.name)
		},
	}
	out.flag(cmd, "text", "json", "markdown")
	cmd.Flags().StringVar(&at.text, "at", "", "compare what they mean at `TIME`, as 2026-01-01T00:00:00Z; at all times")
	_ = cmd.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	return cmd
}

func twoPolicies(_ *cobra.Command, args []string) error {
	if len(args) != 2 {
		return errors.New("diff needs two policies, the old and the new: a file each, or a folder")
	}
	if args[0] == "-" && args[1] == "-" {
		return errors.New(`"-" is named twice`)
	}
	return nil
}

func compare(cmd *cobra.Command, old, new string, at *moment) (*difference, error) {
	now, err := at.stated()
	if err != nil {
		return nil, err
	}
	a, err1 := policyOf(cmd, []string{old})
	b, err2 := policyOf(cmd, []string{new})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return compareOver(a, b, now)
}

// difference is what diff prints as JSON.
type difference struct {
	Same    bool     `json:"same"`
	Allowed []change `json:"allowed"`
	Denied  []change `json:"denied"`
	// Sessions are allowed by both, and by one of them without a session.
	Sessions []change `json:"sessions"`
}

type change struct {
	From    []string    `json:"from"`
	To      []string    `json:"to"`
	Ports   []string    `json:"ports"`
	Witness *packetJSON `json:"witness"`
	Old     string      `json:"old,omitempty"` // the rule that decides the witness; none: the default deny
	New     string      `json:"new,omitempty"`
	When    string      `json:"when,omitempty"` // a period; none: at all times, or at that of --at
}

func changesOf(all []analyze.Change) []change {
	out := make([]change, 0, len(all))
	for _, c := range all {
		out = append(out, change{c.From, c.To, c.Ports, packetOf(&c.Witness), calledBy(c.Old), calledBy(c.New), ""})
	}
	return out
}

// calledBy names a rule, and says that it is stateless.
func calledBy(s analyze.Said) string {
	if s.Allow && s.By.Stateless {
		return s.By.Name + " (stateless)"
	}
	return ruleOr(s.By, "")
}

func (d *difference) print(w io.Writer, output string) error {
	var err error
	switch output {
	case "json":
		err = printJSON(w, d)
	case "markdown":
		_, err = io.WriteString(w, d.markdown())
	default:
		_, err = io.WriteString(w, d.text())
	}
	if err == nil && !d.Same {
		err = answerNo{}
	}
	return err
}

func (d *difference) text() string {
	if d.Same {
		return "the two policies mean the same\n"
	}
	var b strings.Builder
	for _, part := range d.parts() {
		fmt.Fprintf(&b, "%s:\n", part.title)
		for _, c := range part.changes {
			fmt.Fprintf(&b, "  %s %s -> %s: %s\n      as %s -> %s %s: %s\n", part.mark, strings.Join(c.From, ", "), strings.Join(c.To, ", "),
				strings.Join(c.Ports, ", "), c.Witness.From, c.Witness.To, c.Witness.Port, c.because())
		}
	}
	return b.String()
}

// because says by which rules a witness changed.
func (c *change) because() string {
	text := fmt.Sprintf("%s, now %s", or(c.Old, "no rule"), or(c.New, "no rule"))
	if c.When != "" {
		text += ", " + c.When
	}
	return text
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

type part struct {
	title, mark string
	changes     []change
}

// parts are the halves of a difference that there are.
func (d *difference) parts() []part {
	var out []part
	if len(d.Allowed) > 0 {
		out = append(out, part{"becomes allowed", "+", d.Allowed})
	}
	if len(d.Denied) > 0 {
		out = append(out, part{"becomes denied", "-", d.Denied})
	}
	if len(d.Sessions) > 0 {
		out = append(out, part{"stays allowed, and changes whether replies need a rule", "~", d.Sessions})
	}
	return out
}

// markdown is a summary for a pull request.
func (d *difference) markdown() string {
	if d.Same {
		return "**Policy:** no connection is decided differently.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**Policy:** %s allowed, %s denied", becomes(d.Allowed), becomes(d.Denied))
	if len(d.Sessions) > 0 {
		fmt.Fprintf(&b, ", %s to sessions", count(len(d.Sessions), "change"))
	}
	b.WriteString(".\n")
	for _, part := range d.parts() {
		fmt.Fprintf(&b, "\n### %s%s\n\n| from | to | ports | for example | by |\n|---|---|---|---|---|\n", strings.ToUpper(part.title[:1]), part.title[1:])
		for _, c := range part.changes {
			example := fmt.Sprintf("%s -> %s %s", c.Witness.From, c.Witness.To, c.Witness.Port)
			fmt.Fprintf(&b, "| %s | %s | %s | `%s` | %s |\n", cellOf(c.From), cellOf(c.To), cellOf(c.Ports),
				escape(strings.ReplaceAll(example, "`", "'")), escape(c.because()))
		}
	}
	return b.String()
}

func becomes(list []change) string {
	switch len(list) {
	case 0:
		return "nothing becomes"
	case 1:
		return "1 change becomes"
	}
	return fmt.Sprintf("%d changes become", len(list))
}

// cellOf writes words into a cell of a table.
func cellOf(words []string) string { return escape(strings.Join(words, ", ")) }

func escape(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
