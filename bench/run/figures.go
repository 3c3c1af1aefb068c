package run

import (
	"fmt"

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

// complete leaves out the figures that some round lacks: rounds are compared by
// their number, so a hole would compare one round with another. What it leaves
// out it says.
func complete(figures []report.Figure, rounds int) (whole []report.Figure, remarks []string) {
	for _, f := range figures {
		if len(f.Rounds) == rounds {
			whole = append(whole, f)
			continue
		}
		remarks = append(remarks, fmt.Sprintf("%s: %s of %s is left out: only %d of %d rounds had samples enough for it; more --seconds give more",
			f.Scenario, f.Case, f.Subject, len(f.Rounds), rounds))
	}
	return whole, remarks
}
