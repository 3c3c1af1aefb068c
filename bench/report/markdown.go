package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Markdown writes the report as a page: where and how it was measured, then for
// each scenario its pictures and a table, and what could not be measured. All
// of it is from the report: a page made anew from the JSON is the same.
func (r *Report) Markdown(w io.Writer, pictures map[string][]string) error {
	p := &page{w: w}
	p.line("# What was measured\n")
	p.line("Made by `%s` of revision %s, seed %d, begun %s.\n", r.Command, r.Revision, r.Seed, r.Started.Format(time.RFC3339))
	p.line("| | |\n|---|---|")
	m := r.Machine
	for _, row := range [][2]string{{"kernel", "Linux " + m.Kernel}, {"CPU", fmt.Sprintf("%d x %s", m.CPUs, m.CPU)}, {"Go", m.Go + ", " + m.Arch}, {"load before", m.Load}} {
		p.line("| %s | %s |", row[0], cell(row[1]))
	}
	for _, v := range r.Versions {
		name, version, _ := strings.Cut(v, ": ")
		p.line("| %s | %s |", cell(name), cell(version))
	}
	p.line(`
Sender, receiver and what is between them share the machine's CPUs: read the
ratios. Every round runs all subjects in turn. A figure is the median of its
rounds, in brackets the least and the most; below it stands the ratio of the
first subject to this one, round by round. Ahead or behind is only who is so in
every round against every round of the other: where the spreads overlap there is
no winner.`)
	for _, name := range r.scenarios() {
		r.section(p, name, pictures[name])
	}
	r.endings(p)
	return p.err
}

// section is one scenario.
func (r *Report) section(p *page, name string, pictures []string) {
	p.line("\n## %s\n", name)
	for _, picture := range pictures {
		p.line("![%s](%s)\n", name, picture)
	}
	subjects := r.within(name, func(f *Figure) string { return f.Subject })
	p.line("| | unit | rounds | %s |", strings.Join(subjects, " | "))
	p.line("|---|---|---|%s", strings.Repeat("---|", len(subjects)))
	for _, c := range r.within(name, func(f *Figure) string { return f.Case }) {
		cells := []string{c, "", ""}
		for i, s := range subjects {
			f := r.figure(name, c, s)
			if f != nil {
				cells[1], cells[2] = f.Unit, fmt.Sprint(len(f.Rounds))
			}
			text := f.text()
			if against := r.against(name, c, s); i > 0 && against != "-" {
				text += "<br>" + against
			}
			cells = append(cells, text)
		}
		p.line("| %s |", strings.Join(cells, " | "))
	}
	p.line("")
	for _, s := range subjects {
		for _, note := range r.within(name, func(f *Figure) string {
			if f.Subject != s {
				return ""
			}
			return f.Note
		}) {
			p.line("- %s: %s", s, note)
		}
	}
}

// endings are what a reader must know besides.
func (r *Report) endings(p *page) {
	for _, part := range []struct {
		title string
		lines []string
	}{{"Remarks", r.Remarks}, {"Failures", r.Failures}} {
		if len(part.lines) == 0 {
			continue
		}
		p.line("\n## %s\n", part.title)
		for _, line := range part.lines {
			p.line("- %s", line)
		}
	}
}

// cell keeps a text within its cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// page keeps the first error.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
