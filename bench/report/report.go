// Package report is what a benchmark found: figures by rounds, their spread,
// and ratios between contestants that ran in turn.
//
// Absolute figures of a shared machine mean little; what is said of two
// contestants is the ratio of the same round, and who wins is said only where
// the spreads do not overlap.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Figure is one quantity measured in several rounds.
type Figure struct {
	Scenario string    `json:"scenario"`
	Case     string    `json:"case"`    // e.g. "64 B, 1000 sessions"
	Subject  string    `json:"subject"` // who was measured
	Unit     string    `json:"unit"`    // e.g. "ns/frame"; "Gb/s"
	Better   string    `json:"better"`  // "lower" or "higher"
	Rounds   []float64 `json:"rounds"`
	Note     string    `json:"note,omitempty"`
}

// Median, Min and Max of the rounds; zero without one.
func (f *Figure) Median() float64 { return quantile(f.Rounds, 0.5) }

// Min returns the least round.
func (f *Figure) Min() float64 { return quantile(f.Rounds, 0) }

// Max returns the largest round.
func (f *Figure) Max() float64 { return quantile(f.Rounds, 1) }

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	at := q * float64(len(s)-1)
	lo := int(at)
	if lo == len(s)-1 {
		return s[lo]
	}
	return s[lo] + (at-float64(lo))*(s[lo+1]-s[lo])
}

// Ratio compares two figures of one case, round by round.
type Ratio struct {
	Scenario string  `json:"scenario"`
	Case     string  `json:"case"`
	Subject  string  `json:"subject"`
	Peer     string  `json:"peer"`
	Median   float64 `json:"median"`
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
	Verdict  string  `json:"verdict"` // "ahead", "behind", "no winner: the spreads overlap"
}

// Compare makes the ratio of a to b. Both ran in the same rounds.
func Compare(a, b *Figure) Ratio {
	n := min(len(a.Rounds), len(b.Rounds))
	ratios := make([]float64, 0, n)
	for i := range n {
		if b.Rounds[i] != 0 {
			ratios = append(ratios, a.Rounds[i]/b.Rounds[i])
		}
	}
	r := Ratio{
		Scenario: a.Scenario, Case: a.Case, Subject: a.Subject, Peer: b.Subject,
		Median: quantile(ratios, 0.5), Min: quantile(ratios, 0), Max: quantile(ratios, 1),
	}
	ahead, behind := r.Min > 1, r.Max < 1
	if a.Better == "lower" {
		ahead, behind = behind, ahead
	}
	switch {
	case n < 3:
		r.Verdict = "too few rounds for a verdict"
	case ahead && apart(a, b):
		r.Verdict = "ahead"
	case behind && apart(a, b):
		r.Verdict = "behind"
	default:
		r.Verdict = "no winner: the spreads overlap"
	}
	return r
}

// apart tells whether the spreads of two figures do not overlap.
func apart(a, b *Figure) bool { return a.Min() > b.Max() || b.Min() > a.Max() }

// Report is everything that one call measured.
type Report struct {
	Command string   `json:"command"`
	Machine string   `json:"machine"`
	Figures []Figure `json:"figures"`
	Ratios  []Ratio  `json:"ratios"`
}

// JSON writes the report for machines.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	fmt.Fprintf(w, "%s\n%s\n\n", r.Command, r.Machine)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SCENARIO\tCASE\tSUBJECT\tMEDIAN\tMIN\tMAX\tUNIT\tROUNDS\tNOTE")
	for i := range r.Figures {
		f := &r.Figures[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%.4g\t%.4g\t%.4g\t%s\t%d\t%s\n", f.Scenario, f.Case, f.Subject, f.Median(), f.Min(), f.Max(), f.Unit, len(f.Rounds), f.Note)
	}
	if err := t.Flush(); err != nil || len(r.Ratios) == 0 {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "SCENARIO\tCASE\tRATIO\tMEDIAN\tMIN\tMAX\tVERDICT")
	for _, x := range r.Ratios {
		fmt.Fprintf(t, "%s\t%s\t%s : %s\t%.2f\t%.2f\t%.2f\t%s\n", x.Scenario, x.Case, x.Subject, x.Peer, x.Median, x.Min, x.Max, x.Verdict)
	}
	return t.Flush()
}
