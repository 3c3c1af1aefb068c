package run

import (
	"fmt"
	"slices"

	"bulkhead/bench/report"
)

// Figures are gathered value by value; they stand in the order in which each
// was first seen.
type Figures []report.Figure

// Add takes a value of a round to the figure that it belongs to.
func (f *Figures) Add(scenario, subject, note string, v report.Value) {
	for i := range *f {
		if g := &(*f)[i]; g.Scenario == scenario && g.Subject == subject && g.Case == v.Case {
			g.Add(v)
			return
		}
	}
	g := report.Figure{Scenario: scenario, Case: v.Case, Subject: subject, Unit: v.Unit, Better: v.Better, Note: note}
	g.Add(v)
	*f = append(*f, g)
}

// complete leaves out the cases that some subject lacks in some round: rounds
// are compared by their number, so a hole would compare one round with another.
// What it leaves out it says.
func complete(figures []report.Figure, rounds int) (whole []report.Figure, remarks []string) {
	holes := map[string]bool{}
	for _, f := range figures {
		if len(f.Rounds) == rounds || holes[f.Case] {
			continue
		}
		holes[f.Case] = true
		remarks = append(remarks, fmt.Sprintf("%s: %s is left out: %s had samples enough for it in only %d of %d rounds; more --seconds give more",
			f.Scenario, f.Case, f.Subject, len(f.Rounds), rounds))
	}
	whole = slices.DeleteFunc(slices.Clone(figures), func(f report.Figure) bool { return holes[f.Case] })
	return whole, remarks
}
