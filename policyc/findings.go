package main

import (
	"io"

	"github.com/spf13/cobra"

	"bulkhead/policyc/compile"
	"bulkhead/policyc/internal/diag"
)

// findingJSON is a finding of the compiler for programs: an editor, or a check
// of a pull request that marks the line.
type findingJSON struct {
	Severity string     `json:"severity"` // error or warning
	Place    *spotJSON  `json:"place"`    // null where it is about no line
	Text     string     `json:"text"`
	Meant    string     `json:"meant,omitempty"` // the nearest right name
	Cure     string     `json:"cure,omitempty"`
	Notes    []noteJSON `json:"notes,omitempty"`
}

// spotJSON is a spot in a source; lines and columns count from 1, columns in
// characters.
type spotJSON struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// noteJSON is another place that matters to a finding.
type noteJSON struct {
	Place *spotJSON `json:"place"`
	Text  string    `json:"text"`
}

func findingsJSON(f compile.Findings) []findingJSON { return listJSON(f.All()) }

func listJSON(all []diag.Diagnostic) []findingJSON {
	out := []findingJSON{}
	for _, d := range all {
		x := findingJSON{Severity: d.Severity.String(), Place: spotOf(d.At), Text: d.Message, Meant: d.Suggest, Cure: d.Cure}
		for _, n := range d.Notes {
			x.Notes = append(x.Notes, noteJSON{spotOf(n.At), n.Message})
		}
		out = append(out, x)
	}
	return out
}

func spotOf(at diag.Span) *spotJSON {
	if at.Src == nil {
		return nil
	}
	return &spotJSON{at.File(), at.Line(), at.Col()}
}

// reportJSON prints an answer that has the findings in it, and turns mistakes
// into a no.
func reportJSON(cmd *cobra.Command, f compile.Findings, answer any) error {
	return reportList(cmd.OutOrStdout(), f, answer)
}

// reportList is reportJSON of any findings, to anywhere.
func reportList(w io.Writer, f interface{ Failed() bool }, answer any) error {
	if err := printJSON(w, answer); err != nil {
		return err
	}
	if f.Failed() {
		return answerNo{}
	}
	return nil
}
