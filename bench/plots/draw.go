package plots

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// columns are bars of one subject. Those of gonum begin at zero, which a
// logarithmic axis does not have.
type columns struct {
	medians plotter.Values
	base    float64
	offset  vg.Length // from the middle of the group
	colour  color.Color
}

// Plot draws them.
func (b *columns) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, v := range b.medians {
		left, foot := x(float64(i))+b.offset-barWidth/2, y(b.base)
		right, top := left+barWidth, y(v)
		c.FillPolygon(b.colour, []vg.Point{{X: left, Y: foot}, {X: left, Y: top}, {X: right, Y: top}, {X: right, Y: foot}})
	}
}

// DataRange has room for half a group at either side.
func (b *columns) DataRange() (xmin, xmax, ymin, ymax float64) {
	ymax = b.base
	for _, v := range b.medians {
		ymax = max(ymax, v)
	}
	return -0.5, float64(len(b.medians)) - 0.5, b.base, ymax
}

// Thumbnail is the colour, for the legend.
func (b *columns) Thumbnail(c *draw.Canvas) {
	lo, hi := c.Min, c.Max
	c.FillPolygon(b.colour, []vg.Point{{X: lo.X, Y: lo.Y}, {X: lo.X, Y: hi.Y}, {X: hi.X, Y: hi.Y}, {X: hi.X, Y: lo.Y}})
}

// spread is the least and the most of a case.
type spread struct {
	at       int
	low, top float64
}

type spreads []spread

// whiskers are the spreads of one subject.
type whiskers struct {
	spreads spreads
	offset  vg.Length
}

// Plot draws a line from the least to the most, with ends.
func (s *whiskers) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := draw.LineStyle{Color: color.Black, Width: vg.Points(0.7)}
	const half = barWidth / 4
	for _, one := range s.spreads {
		at, low, top := x(float64(one.at))+s.offset, y(one.low), y(one.top)
		c.StrokeLines(style, []vg.Point{{X: at, Y: low}, {X: at, Y: top}},
			[]vg.Point{{X: at - half, Y: low}, {X: at + half, Y: low}}, []vg.Point{{X: at - half, Y: top}, {X: at + half, Y: top}})
	}
}
