package analyze

import (
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
)

// Table writes a matrix as text: a row an end, and what it may connect to. The
// square itself is as wide as its columns are many, so each is a letter that
// says how much: '#' everything, '+' something, '.' nothing. Between scopes is a
// gap.
func (m *Matrix) Table() string {
	gap := m.gaps()
	width := 4
	for _, e := range m.Ends {
		width = max(width, len([]rune(e.Name)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "from a row to a column: # everything, + something, . nothing\n\n")
	digits := len(fmt.Sprint(len(m.Ends)))
	for place := digits - 1; place >= 0; place-- {
		b.WriteString(strings.Repeat(" ", width+digits+2))
		for i := range m.Ends {
			b.WriteString(gap[i] + digit(i+1, place))
		}
		b.WriteByte('\n')
	}
	for i, e := range m.Ends {
		b.WriteString(strings.ReplaceAll(gap[i], " ", "\n"))
		fmt.Fprintf(&b, "%-*s %*d ", width, e.Name, digits, i+1)
		for j := range m.Ends {
			b.WriteString(gap[j] + m.Cells[i][j].mark())
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	m.each(func(from, to End, a Allowed) {
		fmt.Fprintf(&b, "%s -> %s: %s\n", from.Name, to.Name, a.Text())
	})
	return b.String()
}

// digit is one digit of a number, blank before its first.
func digit(n, place int) string {
	for range place {
		n /= 10
	}
	if n == 0 {
		return " "
	}
	return fmt.Sprint(n % 10)
}

func (a Allowed) mark() string {
	switch {
	case len(a.Ports) == 1 && a.Ports[0] == "any":
		return "#"
	case len(a.Ports) > 0 || a.Part:
		return "+"
	}
	return "."
}

// Each calls f with what is allowed at all, by the numbers of the ends, in order.
func (m *Matrix) Each(f func(from, to int, a Allowed)) {
	for i, row := range m.Cells {
		for _, j := range slices.Sorted(maps.Keys(row)) {
			f(i, j, row[j])
		}
	}
}

// each is Each, by the ends themselves.
func (m *Matrix) each(f func(from, to End, a Allowed)) {
	m.Each(func(i, j int, a Allowed) { f(m.Ends[i], m.Ends[j], a) })
}

// Dot writes a matrix as a graph for graphviz.
func (m *Matrix) Dot() string {
	shapes := map[string]string{"service": "box", "network": "ellipse", "host": "box3d", "outside": "diamond"}
	var b strings.Builder
	b.WriteString("digraph policy {\n\trankdir=LR;\n")
	for _, e := range m.Ends {
		fmt.Fprintf(&b, "\t%s [shape=%s];\n", quote(e.Name), shapes[e.Kind])
	}
	m.each(func(from, to End, a Allowed) {
		fmt.Fprintf(&b, "\t%s -> %s [label=%s];\n", quote(from.Name), quote(to.Name), quote(a.Text()))
	})
	b.WriteString("}\n")
	return b.String()
}

// quote writes a name for graphviz, whose only escape is that of the quote.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

const square = 14 // pixels of a cell of the drawing

// SVG draws a matrix: a square a pair that may connect, darker for more, its ports
// as its title; a dark line between scopes. What may not connect is the ground,
// so that the size goes with what is allowed, not with the square of the ends.
func (m *Matrix) SVG() string {
	longest := 0
	for _, e := range m.Ends {
		longest = max(longest, len([]rune(e.Name)))
	}
	margin := 7*longest + 12
	end := margin + square*len(m.Ends)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", end+4, end+4)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", end+4, end+4)
	fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", margin, margin, end-margin, end-margin, colours["."])
	for i, e := range m.Ends {
		at := margin + square*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", margin-4, at+11, html.EscapeString(e.Name))
		fmt.Fprintf(&b, `<text transform="translate(%d,%d) rotate(-90)">%s</text>`+"\n", at+11, margin-4, html.EscapeString(e.Name))
	}
	m.squares(&b, margin)
	m.grid(&b, margin, end)
	b.WriteString("</svg>\n")
	return b.String()
}

func (m *Matrix) squares(b *strings.Builder, margin int) {
	m.Each(func(i, j int, a Allowed) {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"><title>%s</title></rect>`+"\n",
			margin+square*j, margin+square*i, square, square, colours[a.mark()], html.EscapeString(a.sentence(m.Ends[i], m.Ends[j])))
	})
}

// grid draws a line at each row and column, darker where a scope begins.
func (m *Matrix) grid(b *strings.Builder, margin, end int) {
	begins := map[int]bool{0: true, len(m.Ends): true}
	for _, g := range m.groups() {
		begins[g.first] = true
	}
	for i := range len(m.Ends) + 1 {
		at, colour := margin+square*i, "#ddd"
		if begins[i] {
			colour = "#555"
		}
		fmt.Fprintf(b, `<path d="M%d %dH%dM%d %dV%d" stroke="%s"/>`+"\n", margin, at, end, at, margin, end, colour)
	}
}

var colours = map[string]string{"#": "#08519c", "+": "#6baed6", ".": "#f7f7f7"}

func (a Allowed) sentence(from, to End) string {
	text := a.Text()
	if text == "" {
		text = "nothing"
	}
	return fmt.Sprintf("%s to %s: %s", from.Name, to.Name, text)
}
