package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Text writes the report for people: a table a scenario, with a row a case, and
// beside each peer the ratio of the first subject to it.
func (r *Report) Text(w io.Writer) error {
	fmt.Fprintf(w, "$ %s\n%s\nrevision %s, seed %d, %s\n", r.Command, r.Machine, r.Revision, r.Seed, r.Started.Format(time.RFC3339))
	for _, name := range r.scenarios() {
		if err := r.table(w, name); err != nil {
			return err
		}
	}
	if len(r.Figures) > 0 {
		fmt.Fprint(w, "\nMedian of the rounds (min-max). A ratio is of one round; a winner has every round\non its side.\n")
	}
	r.notes(w)
	return nil
}

// scenarios lists the names in the order of the figures.
func (r *Report) scenarios() (names []string) {
	return r.distinct(func(f *Figure) string { return f.Scenario })
}

// distinct lists what of returns, each once, in the order of the figures; it
// passes over what is empty.
func (r *Report) distinct(of func(*Figure) string) (out []string) {
	seen := map[string]bool{"": true}
	for i := range r.Figures {
		if v := of(&r.Figures[i]); !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// within is distinct of one scenario.
func (r *Report) within(scenario string, of func(*Figure) string) []string {
	return r.distinct(func(f *Figure) string {
		if f.Scenario != scenario {
			return ""
		}
		return of(f)
	})
}

func (r *Report) table(w io.Writer, scenario string) error {
	subjects := r.within(scenario, func(f *Figure) string { return f.Subject })
	head := []string{strings.ToUpper(scenario), "UNIT", "ROUNDS"}
	for i, s := range subjects {
		if head = append(head, s); i > 0 {
			head = append(head, subjects[0]+" : "+s)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%s\n", strings.Join(head, "\t"))
	for _, c := range r.within(scenario, func(f *Figure) string { return f.Case }) {
		fmt.Fprintln(t, strings.Join(r.row(scenario, c, subjects), "\t"))
	}
	return t.Flush()
}

// row writes a case: its unit and rounds, and for each subject its figure.
func (r *Report) row(scenario, name string, subjects []string) []string {
	cells := []string{name, "", ""}
	for i, s := range subjects {
		f := r.figure(scenario, name, s)
		if f != nil {
			cells[1], cells[2] = f.Unit, fmt.Sprint(len(f.Rounds))
		}
		if cells = append(cells, f.text()); i > 0 {
			cells = append(cells, r.against(scenario, name, s))
		}
	}
	return cells
}

func (r *Report) figure(scenario, name, subject string) *Figure {
	for i := range r.Figures {
		if f := &r.Figures[i]; f.Scenario == scenario && f.Case == name && f.Subject == subject {
			return f
		}
	}
	return nil
}

// text writes a figure; a case that was not measured of a subject is a dash.
func (f *Figure) text() string {
	if f == nil {
		return "-"
	}
	return spread(f.Median(), f.Min(), f.Max(), short)
}

// against writes the ratio of the first subject to a peer.
func (r *Report) against(scenario, name, peer string) string {
	for _, x := range r.Ratios {
		if x.Scenario == scenario && x.Case == name && x.Peer == peer {
			return spread(x.Median, x.Min, x.Max, func(v float64) string { return fmt.Sprintf("%.2f", v) }) + " " + x.Verdict
		}
	}
	return "-"
}

func spread(median, low, high float64, number func(float64) string) string {
	return fmt.Sprintf("%s (%s-%s)", number(median), number(low), number(high))
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

// notes writes what each subject is, once, then remarks and failures.
func (r *Report) notes(w io.Writer) {
	fmt.Fprintln(w)
	for _, line := range r.distinct(func(f *Figure) string {
		if f.Note == "" {
			return ""
		}
		return f.Subject + ": " + f.Note
	}) {
		fmt.Fprintln(w, line)
	}
	for _, line := range r.Remarks {
		fmt.Fprintln(w, "remark:", line)
	}
	for _, line := range r.Failures {
		fmt.Fprintln(w, "FAILED:", line)
	}
}
