package servicemap

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// tints are the colours of scopes, light enough for black text; the first is
// everybody's. Beyond the last they begin again, after it.
var tints = []string{"#f0f0f0", "#cfe3f5", "#d8efd3", "#fbe3c8", "#e4dbf0", "#f9d9de", "#d3efec", "#f4f0c4", "#e8dccf"}

// labelled is up to how many lines their ports stand beside them. In a thicket
// nobody can tell whose they are; there they are titles only.
const labelled = 24

const (
	letter  = 7  // how wide, in pixels, at the most in the mean
	between = 90 // columns, at least
	margin  = 16
)

// SVG writes a map as a picture. It fails where a map is too large.
func (m *Map) SVG(w io.Writer) error {
	if err := m.fits(); err != nil {
		return err
	}
	_, err := io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+m.picture())
	return err
}

// drawing is a layout with pixels: where each column begins and how wide it is.
type drawing struct {
	m          *Map
	l          *layout
	scopes     []string
	left, wide []int
	width      int
	top        float64 // what is added to each height, so that none is negative
	height     int
	strings.Builder
}

// picture is the svg element, which a page holds, too.
func (m *Map) picture() string {
	d := &drawing{m: m, l: place(m), scopes: m.scopes()}
	d.measure()
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", d.width, d.height, d.width, d.height)
	d.WriteString(`<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>` + "\n")
	fmt.Fprintf(d, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", d.width, d.height)
	d.legend()
	for i, line := range m.Lines {
		d.line(i, line)
	}
	for i := range m.Ends {
		d.box(i)
	}
	d.WriteString("</svg>\n")
	return d.String()
}

// measure finds the columns' places and the size of the whole.
func (d *drawing) measure() {
	x, low, high := margin, 0.0, 0.0
	for _, column := range d.l.columns {
		wide := 0
		for _, s := range column {
			if end := d.l.spots[s].end; end >= 0 {
				wide = max(wide, letter*len([]rune(d.m.Ends[end].Name))+16)
			}
			low, high = min(low, d.l.spots[s].y-boxHigh), max(high, d.l.spots[s].y+boxHigh)
		}
		d.left, d.wide = append(d.left, x), append(d.wide, wide)
		x += wide + d.between()
	}
	head := float64(margin + 22)
	if len(d.scopes) < 2 {
		head = margin
	}
	d.width, d.top = max(x-d.between()+margin+40, d.legendWidth()), head-low
	d.height = int(high-low+head) + margin
}

// between is how far columns are apart: as far as what is written there is long.
func (d *drawing) between() int {
	wide := between
	if len(d.m.Lines) <= labelled {
		for _, l := range d.m.Lines {
			wide = max(wide, letter*len([]rune(short(l.Ports)))+20)
		}
	}
	return wide
}

func (d *drawing) legendWidth() int {
	x := margin
	for _, s := range d.scopes {
		x += letter*len([]rune(s)) + 40
	}
	return x
}

// legend names the scopes' colours, where there are several.
func (d *drawing) legend() {
	scopes := d.scopes
	if len(scopes) < 2 {
		return
	}
	x := margin
	for _, s := range scopes {
		if s == "" {
			continue
		}
		fmt.Fprintf(d, `<rect x="%d" y="%d" width="12" height="12" fill="%s" stroke="#888"/><text x="%d" y="%d">%s</text>`+"\n",
			x, margin-4, d.tint(s), x+18, margin+6, html.EscapeString(s))
		x += letter*len([]rune(s)) + 40
	}
}

func (d *drawing) tint(scope string) string {
	if scope == "" {
		return tints[0]
	}
	i, _ := slices.BinarySearch(d.scopes, scope)
	if d.scopes[0] == "" {
		i--
	}
	return tints[1+i%(len(tints)-1)]
}

// box draws an end: services with corners, whoever is not one of ours round.
func (d *drawing) box(i int) {
	e, s := d.m.Ends[i], d.l.spots[i]
	round := 3
	if e.Kind != "service" {
		round = boxHigh / 2
	}
	x, y := d.left[s.column], int(s.y+d.top)-boxHigh/2
	fmt.Fprintf(d, `<g class="end" data-end="%d"><title>%s %s</title><rect x="%d" y="%d" width="%d" height="%d" rx="%d" fill="%s" stroke="#555"/><text x="%d" y="%d" text-anchor="middle">%s</text></g>`+"\n",
		i, html.EscapeString(e.Kind), html.EscapeString(e.Name), x, y, d.wide[s.column], boxHigh, round, d.tint(e.Scope()), x+d.wide[s.column]/2, y+16, html.EscapeString(e.Name))
}

// line draws a pair: a curve from bend to bend, with a head.
func (d *drawing) line(i int, line Line) {
	way := d.l.lines[i]
	path := d.path(way)
	title := fmt.Sprintf("%s to %s: %s", d.m.Ends[line.From].Name, d.m.Ends[line.To].Name, line.Ports)
	fmt.Fprintf(d, `<g class="line" data-from="%d" data-to="%d"><title>%s</title><path d="%s" fill="none" stroke="#777" marker-end="url(#tip)"/>`, line.From, line.To, html.EscapeString(title), path)
	if len(d.m.Lines) <= labelled {
		x, y := d.middle(way)
		fmt.Fprintf(d, `<text x="%d" y="%d" text-anchor="middle" font-size="10" fill="#333" stroke="#fff" stroke-width="3" paint-order="stroke">%s</text>`, x, y, html.EscapeString(short(line.Ports)))
	}
	d.WriteString("</g>\n")
}

// short is a list of ports that fits between two columns.
func short(ports string) string {
	const most = 22
	if len(ports) <= most {
		return ports
	}
	cut := strings.LastIndexByte(ports[:most], ' ')
	if cut < 0 {
		cut = most
	}
	return ports[:cut] + " …"
}

// path goes from spot to spot, level where it enters and leaves one.
func (d *drawing) path(way []int) string {
	if len(way) == 1 {
		return d.loop(way[0])
	}
	var b strings.Builder
	for i := 1; i < len(way); i++ {
		x1, y1 := d.edge(way[i-1], way[i], d.lane(way))
		x2, y2 := d.edge(way[i], way[i-1], d.lane(way))
		if i == 1 {
			fmt.Fprintf(&b, "M%d,%d", x1, y1)
		} else {
			fmt.Fprintf(&b, " L%d,%d", x1, y1) // straight through a bend's column
		}
		half := (x1 + x2) / 2
		fmt.Fprintf(&b, " C%d,%d %d,%d %d,%d", half, y1, half, y2, x2, y2)
	}
	return b.String()
}

// lane is above the middle for a line to the right and below it for one back, so
// that a pair which goes both ways has two lines.
func (d *drawing) lane(way []int) int {
	if d.l.spots[way[0]].column < d.l.spots[way[len(way)-1]].column {
		return -4
	}
	return 4
}

// edge is where a line touches a spot on the side of its neighbour.
func (d *drawing) edge(s, neighbour, lane int) (x, y int) {
	a, b := &d.l.spots[s], &d.l.spots[neighbour]
	x, y = d.left[a.column], int(a.y+d.top)+lane
	if b.column > a.column {
		x += d.wide[a.column]
	}
	return x, y
}

// loop leaves an end on its right and comes back to it.
func (d *drawing) loop(s int) string {
	x, y := d.left[d.l.spots[s].column]+d.wide[d.l.spots[s].column], int(d.l.spots[s].y+d.top)
	return fmt.Sprintf("M%d,%d C%d,%d %d,%d %d,%d", x, y-6, x+28, y-16, x+28, y+16, x, y+6)
}

// middle is where a line's ports stand: half way between its first two spots.
func (d *drawing) middle(way []int) (x, y int) {
	if len(way) == 1 {
		s := d.l.spots[way[0]]
		return d.left[s.column] + d.wide[s.column] + 40, int(s.y+d.top) + 4
	}
	x1, y1 := d.edge(way[0], way[1], d.lane(way))
	x2, y2 := d.edge(way[1], way[0], d.lane(way))
	return (x1 + x2) / 2, (y1+y2)/2 - 3
}
