package main

import (
	"io"

	"github.com/spf13/cobra"

	"bulkhead/policyc/internal/analyze"
	"bulkhead/policyc/internal/servicemap"
)

func exportDot() *cobra.Command {
	scope, output, at := "", "", &moment{}
	cmd := &cobra.Command{
		Use:   "dot FILE... [--scope NAME]",
		Short: "The service map, for graphviz",
		Long: `Writes who may connect to whom as a graph: an arrow a pair, with its ports.

Exit codes: 0 written, 2 error.`,
		Example: `  policyc export dot policy.toml
  policyc export dot platform.toml shop.toml
  policyc export dot policy.toml -o json
  policyc export dot teams.toml --scope shop`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := goodFormat(output); err != nil {
				return err
			}
			m, err := mapMatrix(cmd, args, at, scope)
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(cmd.OutOrStdout(), mapJSONOf(mapOf(m).Linked()))
			}
			_, err = io.WriteString(cmd.OutOrStdout(), m.Dot())
			return err
		},
	}
	outputFlag(cmd, &output)
	at.flag(cmd, "draw the policy of")
	scopeFlag(cmd, &scope)
	return cmd
}

// scopeFlag gives a command the flag of the scope that is drawn.
func scopeFlag(cmd *cobra.Command, scope *string) {
	cmd.Flags().StringVar(scope, "scope", "", "draw only the ends of scope `NAME`, and whoever they have to do with")
	_ = cmd.RegisterFlagCompletionFunc("scope", cobra.NoFileCompletions)
}

func exportSVG() *cobra.Command {
	return mapCommand(&cobra.Command{
		Use:   "svg FILE... [--scope NAME]",
		Short: "The service map, as a picture",
		Long: `Draws who may connect to whom: whoever connects stands left of whom it connects
to, as far as circles allow, in the colour of its scope. The ports stand beside a
line, or where lines are many in its title.

Exit codes: 0 written, 2 error.`,
		Example: `  policyc export svg policy.toml > /tmp/policy.svg
  policyc export svg platform.toml shop.toml -o json
  policyc export svg teams.toml --scope shop > /tmp/shop.svg`,
	}, (*servicemap.Map).SVG)
}

func exportHTML() *cobra.Command {
	return mapCommand(&cobra.Command{
		Use:   "html FILE... [--scope NAME]",
		Short: "The service map, as a page with a filter",
		Long: `Writes a page with the picture of who may connect to whom, a filter by name, and
the list of pairs. What the pointer is on stands out with its lines. The page
needs nothing else.

Exit codes: 0 written, 2 error.`,
		Example: `  policyc export html policy.toml > /tmp/policy.html
  policyc export html platform.toml shop.toml -o json
  policyc export html teams.toml --scope shop > /tmp/shop.html`,
	}, (*servicemap.Map).HTML)
}

// mapCommand makes the command that draws the map of some files.
func mapCommand(cmd *cobra.Command, draw func(*servicemap.Map, io.Writer) error) *cobra.Command {
	scope, output, at := "", "", &moment{}
	cmd.Args, cmd.ValidArgsFunction, cmd.DisableFlagsInUseLine = files, completeFiles, true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := goodFormat(output); err != nil {
			return err
		}
		m, err := mapMatrix(cmd, args, at, scope)
		if err != nil {
			return err
		}
		picture := mapOf(m)
		if scope != "" {
			picture = picture.Of(scope)
		}
		if output == "json" {
			return printJSON(cmd.OutOrStdout(), mapJSONOf(picture.Linked()))
		}
		return draw(picture.Linked(), cmd.OutOrStdout())
	}
	outputFlag(cmd, &output)
	at.flag(cmd, "draw the policy of")
	scopeFlag(cmd, &scope)
	return cmd
}

// mapMatrix is what is drawn of some files: all, or a scope, or an end by its name.
func mapMatrix(cmd *cobra.Command, args []string, at *moment, scope string) (*analyze.Matrix, error) {
	return matrixOf(cmd, args, at, scope, func(e analyze.End) bool { return e.Scope() == scope || e.Name == scope })
}

// mapJSON is the service map for programs that draw it themselves.
type mapJSON struct {
	Ends  []mapEnd  `json:"ends"`  // those that have a line
	Lines []mapLine `json:"lines"` // who may connect to whom
}

type mapEnd struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

type mapLine struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Ports string `json:"ports"`
}

func mapJSONOf(m *servicemap.Map) *mapJSON {
	out := &mapJSON{Ends: []mapEnd{}, Lines: []mapLine{}}
	for _, e := range m.Ends {
		out.Ends = append(out.Ends, mapEnd{e.Name, e.Kind})
	}
	for _, l := range m.Lines {
		out.Lines = append(out.Lines, mapLine{m.Ends[l.From].Name, m.Ends[l.To].Name, l.Ports})
	}
	return out
}

// mapOf takes from a matrix what is drawn of it: the pairs that may connect.
func mapOf(m *analyze.Matrix) *servicemap.Map {
	out := &servicemap.Map{}
	for _, e := range m.Ends {
		out.Ends = append(out.Ends, servicemap.End{Name: e.Name, Kind: e.Kind})
	}
	m.Each(func(i, j int, a analyze.Allowed) {
		out.Lines = append(out.Lines, servicemap.Line{From: i, To: j, Ports: a.Text()})
	})
	return out
}
