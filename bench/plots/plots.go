// Package plots draws the figures of a report: a chart for each unit of a
// scenario, bars of medians, a group a case, a colour a subject, and over each
// bar the least and the most of its rounds.
//
// Bars begin at zero, so that their lengths are the ratio; only where figures
// differ by more than three hundredfold the axis is logarithmic, and says so. It is
// pure but for the files of Write; any goroutine may call it.
package plots

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"bulkhead/bench/report"
)

// Chart is one picture.
type Chart struct {
	Scenario, Unit string
	Better         report.Better
	Cases          []string
	Subjects       []string
	figures        map[[2]string]*report.Figure // by case, subject
	colour         map[string]color.Color       // by subject, the same in all charts of a report
}

// Name is the file of a chart.
func (c *Chart) Name() string {
	clean := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}
	return strings.Map(clean, c.Scenario+"-"+c.Unit) + ".svg"
}

// Charts sorts the figures of a report into charts, in their order. Shares in
// per cent are left out: nearly all are zero, and stand in the tables.
func Charts(figures []report.Figure) (charts []*Chart) {
	colour := map[string]color.Color{}
	for i := range figures {
		f := &figures[i]
		if f.Unit == "%" || len(f.Rounds) == 0 {
			continue
		}
		if colour[f.Subject] == nil {
			colour[f.Subject] = colours[len(colour)%len(colours)]
		}
		at := slices.IndexFunc(charts, func(c *Chart) bool { return c.Scenario == f.Scenario && c.Unit == f.Unit && c.Better == f.Better })
		if at < 0 {
			at = len(charts)
			charts = append(charts, &Chart{Scenario: f.Scenario, Unit: f.Unit, Better: f.Better, figures: map[[2]string]*report.Figure{}, colour: colour})
		}
		charts[at].add(f)
	}
	return charts
}

func (c *Chart) add(f *report.Figure) {
	if !slices.Contains(c.Cases, f.Case) {
		c.Cases = append(c.Cases, f.Case)
	}
	if !slices.Contains(c.Subjects, f.Subject) {
		c.Subjects = append(c.Subjects, f.Subject)
	}
	c.figures[[2]string{f.Case, f.Subject}] = f
}

// colours are those of Okabe and Ito, which most people can tell apart, and some
// of their shades; subjects take them in the order of their first figures.
var colours = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xe6, 0x9f, 0x00, 0xff}, color.RGBA{0x00, 0x9e, 0x73, 0xff}, color.RGBA{0xcc, 0x79, 0xa7, 0xff},
	color.RGBA{0x56, 0xb4, 0xe9, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff}, color.RGBA{0xf0, 0xe4, 0x42, 0xff}, color.RGBA{0x66, 0x66, 0x66, 0xff},
	color.RGBA{0x00, 0x39, 0x59, 0xff}, color.RGBA{0x8a, 0x5f, 0x00, 0xff}, color.RGBA{0x00, 0x5e, 0x45, 0xff}, color.RGBA{0xa0, 0xa0, 0xa0, 0xff},
}

// Sizes of a chart.
const (
	barWidth = vg.Length(11)
	gap      = vg.Length(14) // between groups
	margins  = vg.Length(90) // the axis and its labels
	height   = 9 * vg.Centimeter
	minWidth = 12 * vg.Centimeter
	// logFrom is how many times the least figure the largest must be for a
	// logarithmic axis.
	logFrom = 300
	// legend is the room at the right for the names of the subjects.
	legend = vg.Length(150)
)

// SVG draws the chart.
func (c *Chart) SVG(w io.Writer) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s, %s, %s is better", c.Scenario, c.Unit, map[report.Better]string{report.Lower: "less", report.Higher: "more"}[c.Better])
	p.Y.Label.Text = c.Unit
	p.Legend.Top, p.Legend.Padding = true, vg.Points(3)
	p.NominalX(c.Cases...)
	p.X.Tick.Label.Rotation = math.Pi / 7
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YTop
	least, most := c.reach()
	p.Y.Min = 0
	if least > 0 && most/least >= logFrom {
		p.Y.Scale, p.Y.Tick.Marker, p.Y.Label.Text = plot.LogScale{}, plot.LogTicks{Prec: -1}, c.Unit+", logarithmic"
		p.Y.Min = math.Pow(10, math.Floor(math.Log10(least)))
	}
	for i, subject := range c.Subjects {
		if err := c.bars(p, i, subject); err != nil {
			return fmt.Errorf("%s: %s: %w", c.Scenario, subject, err)
		}
	}
	group := barWidth*vg.Length(len(c.Subjects)) + gap
	bars := max(minWidth, group*vg.Length(len(c.Cases)))
	p.Y.Max, p.X.Max = most*1.05, float64(len(c.Cases))*(1+float64(legend/bars))-0.5
	canvas := vgsvg.New(margins+bars+legend, height)
	p.Draw(draw.New(canvas))
	_, err := canvas.WriteTo(w)
	return err
}

// reach finds the least figure above zero and the largest.
func (c *Chart) reach() (least, most float64) {
	for _, f := range c.figures {
		if v := f.Min(); v > 0 && (least == 0 || v < least) {
			least = v
		}
		most = max(most, f.Max())
	}
	return least, max(most, math.SmallestNonzeroFloat32)
}

// bars draws a subject: a bar and a spread in each group.
func (c *Chart) bars(p *plot.Plot, number int, subject string) error {
	var spreads spreads
	medians := make(plotter.Values, len(c.Cases))
	offset := barWidth * (vg.Length(number) - vg.Length(len(c.Subjects)-1)/2)
	for i, name := range c.Cases {
		medians[i] = p.Y.Min
		if f := c.figures[[2]string{name, subject}]; f != nil {
			medians[i] = max(f.Median(), p.Y.Min)
			spreads = append(spreads, spread{i, max(f.Min(), p.Y.Min), max(f.Max(), p.Y.Min)})
		}
	}
	bar := &columns{medians: medians, base: p.Y.Min, offset: offset, colour: c.colour[subject]}
	p.Add(bar, &whiskers{spreads: spreads, offset: offset})
	p.Legend.Add(subject, bar)
	return nil
}

// Write draws the charts of figures into a directory, and returns the names of
// the files by scenario.
func Write(dir string, figures []report.Figure) (map[string][]string, error) {
	names := map[string][]string{}
	for _, c := range Charts(figures) {
		f, err := os.Create(filepath.Join(dir, c.Name()))
		if err != nil {
			return nil, err
		}
		err = c.SVG(f)
		if end := f.Close(); err == nil {
			err = end
		}
		if err != nil {
			return nil, err
		}
		names[c.Scenario] = append(names[c.Scenario], c.Name())
	}
	return names, nil
}
