package analyze

import (
	"fmt"
	"html"
	"strings"
)

// Table writes a matrix as text: a row an end, and what it may connect to. The
// square itself is as wide as its columns are many, so each is a letter that
// says how much: '#' everything, '+' something, '.' nothing.
func (m *Matrix) Table() string {
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
			b.WriteString(digit(i+1, place))
		}
		b.WriteByte('\n')
	}
	for i, e := range m.Ends {
		fmt.Fprintf(&b, "%-*s %*d ", width, e.Name, digits, i+1)
		for j := range m.Ends {
			b.WriteString(m.Cells[i][j].mark())
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

// each calls f with what is allowed at all.
func (m *Matrix) each(f func(from, to End, a Allowed)) {
	for i, from := range m.Ends {
		for j, to := range m.Ends {
			if a := m.Cells[i][j]; a.mark() != "." {
				f(from, to, a)
			}
		}
	}
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

// SVG draws a matrix: a square a pair, darker for more, its ports as its title.
func (m *Matrix) SVG() string {
	longest := 0
	for _, e := range m.Ends {
		longest = max(longest, len([]rune(e.Name)))
	}
	margin := 7*longest + 12
	size := margin + square*len(m.Ends) + 4
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", size, size)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", size, size)
	for i, e := range m.Ends {
		at := margin + square*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", margin-4, at+11, html.EscapeString(e.Name))
		fmt.Fprintf(&b, `<text transform="translate(%d,%d) rotate(-90)">%s</text>`+"\n", at+11, margin-4, html.EscapeString(e.Name))
	}
	for i, from := range m.Ends {
		for j, to := range m.Ends {
			a := m.Cells[i][j]
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s" stroke="#ddd"><title>%s</title></rect>`+"\n",
				margin+square*j, margin+square*i, square, square, colours[a.mark()], html.EscapeString(a.sentence(from, to)))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

var colours = map[string]string{"#": "#08519c", "+": "#6baed6", ".": "#f7f7f7"}

func (a Allowed) sentence(from, to End) string {
	text := a.Text()
	if text == "" {
		text = "nothing"
	}
	return fmt.Sprintf("%s to %s: %s", from.Name, to.Name, text)
}

// HTML writes a matrix as a page that needs nothing else: the heads stay in
// sight, the ports are in the cells' titles and in the list below, and a filter
// keeps the ends whose names have what is typed.
func (m *Matrix) HTML() string {
	var b strings.Builder
	b.WriteString(pageHead)
	b.WriteString("<table id=\"m\">\n<thead><tr><td></td>")
	for _, e := range m.Ends {
		fmt.Fprintf(&b, `<th class="%s" title="%s"><span>%s</span></th>`, e.Kind, e.Kind, html.EscapeString(e.Name))
	}
	b.WriteString("</tr></thead>\n<tbody>\n")
	classes := map[string]string{"#": "all", "+": "some", ".": "none"}
	for i, from := range m.Ends {
		fmt.Fprintf(&b, `<tr><th class="%s">%s</th>`, from.Kind, html.EscapeString(from.Name))
		for j, to := range m.Ends {
			a := m.Cells[i][j]
			fmt.Fprintf(&b, `<td class="%s" title="%s"></td>`, classes[a.mark()], html.EscapeString(a.sentence(from, to)))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</tbody>\n</table>\n<ul id=\"l\">\n")
	m.each(func(from, to End, a Allowed) {
		fmt.Fprintf(&b, "<li>%s</li>\n", html.EscapeString(a.sentence(from, to)))
	})
	b.WriteString(pageTail)
	return b.String()
}

const pageHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Who may connect to whom</title>
<style>
body { font: 13px sans-serif; margin: 1em; }
table { border-collapse: collapse; }
thead { position: sticky; top: 0; background: #fff; }
thead th { height: 9em; vertical-align: bottom; padding: 0; }
thead span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
tbody th { position: sticky; left: 0; background: #fff; text-align: right; padding-right: .5em; font-weight: normal; white-space: nowrap; }
td { width: 13px; height: 13px; border: 1px solid #ddd; padding: 0; }
thead td { border: 0; }
.all { background: #08519c; } .some { background: #6baed6; } .none { background: #f7f7f7; }
.network, .outside { font-style: italic; }
</style></head><body>
<h1>Who may connect to whom</h1>
<p>From a row to a column: dark everything, light something, white nothing.
<label>Filter: <input id="f" placeholder="part of a name"></label></p>
`

const pageTail = `</ul>
<script>
document.getElementById("f").oninput = function () {
  const want = this.value.toLowerCase(), rows = document.querySelectorAll("#m tr");
  const show = Array.from(rows[0].children).map((c, i) => i == 0 || c.textContent.toLowerCase().includes(want));
  rows.forEach((row, r) => {
    row.hidden = r > 0 && !show[r];
    Array.from(row.children).forEach((c, i) => { c.hidden = !show[i]; });
  });
  document.querySelectorAll("#l li").forEach(li => { li.hidden = !li.textContent.toLowerCase().includes(want); });
};
</script></body></html>
`
