// Package report is what a benchmark found: figures by rounds, their spread,
// and ratios between subjects that ran in turn.
//
// Absolute figures of a shared machine mean little; what is said of two
// subjects is the ratio of the same round, and who wins is said only where
// the spreads do not overlap.
//
// The JSON form is for programs: Schema counts up whenever a field changes its
// name or meaning. The package is pure; any goroutine may call it.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Schema is the version of the JSON form.
const Schema = 1

// Report is everything that one call measured.
type Report struct {
	Schema   int       `json:"schema"`
	Command  string    `json:"command"` // the command line that made it
	Revision string    `json:"revision"`
	Started  time.Time `json:"started"`
	Seed     uint64    `json:"seed"`
	Machine  Machine   `json:"machine"`
	Figures  []Figure  `json:"figures"`
	Ratios   []Ratio   `json:"ratios"`
	Remarks  []string  `json:"remarks,omitempty"` // what a reader must know besides
	Failures []string  `json:"failures,omitempty"`
}

// Machine is where it was measured.
type Machine struct {
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
	Arch   string `json:"arch"`
	Load   string `json:"load"` // of 1, 5 and 15 minutes, before it began
}

// String writes the machine in a line.
func (m Machine) String() string {
	return fmt.Sprintf("Linux %s, %d x %s, %s, %s, load before %s", m.Kernel, m.CPUs, m.CPU, m.Go, m.Arch, m.Load)
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	fmt.Fprintf(w, "$ %s\n%s\nrevision %s, seed %d, %s\n", r.Command, r.Machine, r.Revision, r.Seed, r.Started.Format(time.RFC3339))
	if err := r.figures(w); err != nil {
		return err
	}
	if err := r.ratios(w); err != nil {
		return err
	}
	r.notes(w)
	return nil
}

func (r *Report) figures(w io.Writer) error {
	if len(r.Figures) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nSCENARIO\tCASE\tSUBJECT\tMEDIAN\tMIN\tMAX\tUNIT\tROUNDS\tSAMPLES")
	for i := range r.Figures {
		f := &r.Figures[i]
		samples := "-"
		if f.Samples > 0 {
			samples = fmt.Sprint(f.Samples)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", f.Scenario, f.Case, f.Subject, short(f.Median()), short(f.Min()), short(f.Max()), f.Unit, len(f.Rounds), samples)
	}
	return t.Flush()
}

// short writes a number with three or four digits that count.
func short(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func (r *Report) ratios(w io.Writer) error {
	if len(r.Ratios) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nSCENARIO\tCASE\tRATIO\tMEDIAN\tMIN\tMAX\tVERDICT")
	for _, x := range r.Ratios {
		fmt.Fprintf(t, "%s\t%s\t%s : %s\t%.2f\t%.2f\t%.2f\t%s\n", x.Scenario, x.Case, x.Subject, x.Peer, x.Median, x.Min, x.Max, x.Verdict)
	}
	return t.Flush()
}

// notes writes what each subject is, once, then remarks and failures.
func (r *Report) notes(w io.Writer) {
	said := map[string]bool{}
	fmt.Fprintln(w)
	for i := range r.Figures {
		line := r.Figures[i].Subject + ": " + r.Figures[i].Note
		if r.Figures[i].Note != "" && !said[line] {
			said[line] = true
			fmt.Fprintln(w, line)
		}
	}
	for _, line := range r.Remarks {
		fmt.Fprintln(w, "remark:", line)
	}
	for _, line := range r.Failures {
		fmt.Fprintln(w, "FAILED:", line)
	}
}
