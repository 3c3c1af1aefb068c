package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bulkhead/policyc/internal/analyze"
)

func matrixCommand() *cobra.Command {
	out := &answerForm{}
	at := &moment{}
	scope := ""
	cmd := &cobra.Command{
		Use:   "matrix FILE...",
		Short: "Show which service may connect to which, as a table",
		Long: `Prints a table of services, networks and whoever is outside of both: who may
connect to whom, and on what. A service is an endpoint with exactly its labels,
as in query. Where parts of a network are treated differently, what all of it may
is shown, and "part". Ends of one scope stand together; --scope leaves one, and
whom it may meet. The page that -o html makes has a filter by name and scope; it
and the drawing of -o svg need nothing else.

Exit codes: 0 done, 2 error.`,
		Example: `  policyc matrix policy.toml
  policyc matrix policy.toml -o html > /tmp/matrix.html
  policyc matrix policy.toml -o svg > /tmp/matrix.svg
  policyc matrix teams.toml --scope shop`,
		Args: files, ValidArgsFunction: completeFiles, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			m, err := matrixOf(cmd, args, at)
			if err != nil {
				return err
			}
			if scope != "" {
				if m = m.Of(scope); len(m.Ends) == 0 {
					return fmt.Errorf("no service or network is of a scope %q", scope)
				}
			}
			return printMatrix(cmd.OutOrStdout(), m, out.name)
		},
	}
	out.flag(cmd, "text", "json", "html", "svg")
	at.flag(cmd, "show the policy of")
	cmd.Flags().StringVar(&scope, "scope", "", "leave the scope `NAME`, and whom it may meet")
	_ = cmd.RegisterFlagCompletionFunc("scope", cobra.NoFileCompletions)
	return cmd
}

func matrixOf(cmd *cobra.Command, args []string, at *moment) (*analyze.Matrix, error) {
	p, err := at.policy(cmd, args)
	if err != nil {
		return nil, err
	}
	s, err := analyze.New(p)
	if err != nil {
		return nil, err
	}
	return s.Matrix()
}

func printMatrix(w io.Writer, m *analyze.Matrix, output string) error {
	text := ""
	switch output {
	case "json":
		return printJSON(w, matrixJSON(m))
	case "html":
		text = m.HTML()
	case "svg":
		text = m.SVG()
	default:
		text = m.Table()
	}
	_, err := io.WriteString(w, text)
	return err
}

type endJSON struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

type allowedJSON struct {
	From  string   `json:"from"`
	To    string   `json:"to"`
	Ports []string `json:"ports"`
	Part  bool     `json:"part,omitempty"` // some of a network may on more
}

// matrixJSON lists the ends, and the pairs where anything is allowed.
func matrixJSON(m *analyze.Matrix) any {
	out := struct {
		Ends    []endJSON     `json:"ends"`
		Allowed []allowedJSON `json:"allowed"`
	}{Allowed: []allowedJSON{}}
	for i, from := range m.Ends {
		out.Ends = append(out.Ends, endJSON{from.Name, from.Kind})
		for j, to := range m.Ends {
			if a := m.Cells[i][j]; len(a.Ports) > 0 || a.Part {
				out.Allowed = append(out.Allowed, allowedJSON{from.Name, to.Name, append([]string{}, a.Ports...), a.Part})
			}
		}
	}
	return out
}
