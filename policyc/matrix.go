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
and the drawing of -o svg need nothing else. All three have 2,000 rows at the most;
-o json lists the pairs of a larger policy.

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
			m, err := matrixOf(cmd, args, at, scope, func(e analyze.End) bool { return e.Scope() == scope })
			if err == nil && out.name != "json" {
				err = goodSize(len(m.Ends))
			}
			if err != nil {
				return err
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

// matrixOf is the matrix of some files, or of one scope of theirs: of says which ends
// are of it.
func matrixOf(cmd *cobra.Command, args []string, at *moment, scope string, of func(analyze.End) bool) (*analyze.Matrix, error) {
	p, err := at.policy(cmd, args)
	if err != nil {
		return nil, err
	}
	if scope == "" {
		of = nil
	}
	m, err := analyze.MatrixOf(p, of)
	if err == nil && len(m.Ends) == 0 {
		err = fmt.Errorf("no service or network is of a scope %q", scope)
	}
	return m, err
}

// goodSize refuses a table that nobody could look at.
func goodSize(ends int) error {
	if ends <= analyze.MaxEnds {
		return nil
	}
	return fmt.Errorf("a table of %d rows is more than the %d that can be looked at: leave one scope by --scope, list the pairs by -o json, or ask about one by query --from or --to", ends, analyze.MaxEnds)
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
	for _, e := range m.Ends {
		out.Ends = append(out.Ends, endJSON{e.Name, e.Kind})
	}
	m.Each(func(i, j int, a analyze.Allowed) {
		out.Allowed = append(out.Allowed, allowedJSON{m.Ends[i].Name, m.Ends[j].Name, append([]string{}, a.Ports...), a.Part})
	})
	return out
}
