package analyze

import (
	"fmt"
	"html"
	"strings"
)

// HTML writes a matrix as a page that needs nothing else. The heads stay in sight;
// ends of one scope stand together under its name; the ports are in the cells'
// titles and in the list below. A filter keeps the ends whose names have what is
// typed, a choice those of one scope, and with either whom they may meet. What may
// not connect is an empty cell without a title: the pointer says who they are.
func (m *Matrix) HTML() string {
	var b strings.Builder
	b.WriteString(pageHead)
	b.WriteString(m.scopeOptions())
	b.WriteString(pageRest)
	first := map[int]bool{}
	b.WriteString("<table id=\"m\">\n<thead><tr id=\"s\"><td></td>")
	for _, g := range m.groups() {
		first[g.first] = g.first > 0
		fmt.Fprintf(&b, `<th colspan="%d">%s</th>`, g.n, html.EscapeString(g.scope))
	}
	b.WriteString("</tr>\n<tr><td></td>")
	for i, e := range m.Ends {
		fmt.Fprintf(&b, `<th class="%s" title="%s"><span>%s</span></th>`, classes(e.Kind, first[i]), e.Kind, html.EscapeString(e.Name))
	}
	b.WriteString("</tr></thead>\n<tbody>\n")
	for i, from := range m.Ends {
		row := ""
		if first[i] {
			row = ` class="edge"`
		}
		fmt.Fprintf(&b, `<tr%s><th class="%s">%s</th>`, row, from.Kind, html.EscapeString(from.Name))
		for j, to := range m.Ends {
			b.WriteString(m.Cells[i][j].square(from, to, first[j]))
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

// classes are an element's kind, and that a scope begins with it.
func classes(kind string, first bool) string {
	return strings.TrimSpace(kind + map[bool]string{true: " edge"}[first])
}

// square is a cell of the page.
func (a Allowed) square(from, to End, first bool) string {
	kind := map[string]string{"#": "all", "+": "some"}[a.mark()]
	cell := "<td"
	if all := classes(kind, first); all != "" {
		cell += fmt.Sprintf(` class="%s"`, all)
	}
	if kind != "" {
		cell += fmt.Sprintf(` title="%s"`, html.EscapeString(a.sentence(from, to)))
	}
	return cell + "></td>"
}

// scopeOptions is a choice of the scopes, if there are any.
func (m *Matrix) scopeOptions() string {
	var options strings.Builder
	known := map[string]bool{"": true}
	for _, g := range m.groups() {
		if !known[g.scope] {
			known[g.scope] = true
			fmt.Fprintf(&options, "<option>%s</option>", html.EscapeString(g.scope))
		}
	}
	if options.Len() == 0 {
		return ""
	}
	return `<label>Scope: <select id="o"><option value="">all</option>` + options.String() + "</select></label>\n"
}

const pageHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Who may connect to whom</title>
<style>
body { font: 13px sans-serif; margin: 1em; }
table { border-collapse: collapse; }
thead { position: sticky; top: 0; background: #fff; }
#s th { font-size: 11px; border-left: 2px solid #555; text-align: left; overflow: hidden; max-width: 0; white-space: nowrap; }
thead tr + tr th { height: 9em; vertical-align: bottom; padding: 0; }
thead span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
tbody th { position: sticky; left: 0; background: #fff; text-align: right; padding-right: .5em; font-weight: normal; white-space: nowrap; }
td { min-width: 13px; height: 13px; border: 1px solid #ddd; padding: 0; background: #f7f7f7; }
thead td { border: 0; background: #fff; }
td.edge, th.edge { border-left: 2px solid #555; }
tr.edge > * { border-top: 2px solid #555; }
td.all { background: #08519c; } td.some { background: #6baed6; }
.network, .outside { font-style: italic; }
</style></head><body>
<h1>Who may connect to whom</h1>
<p>From a row to a column: dark everything, light something, white nothing.
<label>Filter: <input id="f" placeholder="part of a name"></label>
`

const pageRest = `<label><input id="w" type="checkbox" checked> and whom they may meet</label>
<span id="n"></span></p>
`

// pageTail has the script. An end is shown if its name has what is asked for, or,
// where that is wanted, if a cell of it and one that is asked for is not empty.
const pageTail = `</ul>
<script>
const by = id => document.getElementById(id);
const table = by("m"), rows = [...table.tBodies[0].rows], heads = [...table.tHead.rows[1].cells].slice(1);
const names = rows.map(r => r.cells[0].textContent), items = [...by("l").children];
const met = [];
rows.forEach((r, i) => [...r.cells].slice(1).forEach((c, j) => { if (c.title) met.push([i, j]); }));
const groups = [...by("s").cells].slice(1).map(c => ({ cell: c, n: c.colSpan }));
function draw() {
  const text = by("f").value.toLowerCase(), scope = by("o") ? by("o").value : "";
  const asked = names.map(n => n.toLowerCase().includes(text) && (scope == "" || n.startsWith(scope + "/")));
  const show = asked.slice();
  if (by("w").checked) met.forEach(([i, j]) => { if (asked[i] || asked[j]) show[i] = show[j] = true; });
  rows.forEach((r, i) => {
    r.hidden = !show[i];
    [...r.cells].slice(1).forEach((c, j) => { c.hidden = !show[j]; });
  });
  heads.forEach((c, j) => { c.hidden = !show[j]; });
  let at = 0;
  groups.forEach(g => {
    const n = show.slice(at, at += g.n).filter(x => x).length;
    g.cell.hidden = n == 0;
    g.cell.colSpan = n || 1;
  });
  let pairs = 0;
  met.forEach(([i, j], k) => {
    const s = show[i] && show[j] && (asked[i] || asked[j]);
    items[k].hidden = !s;
    pairs += s;
  });
  by("n").textContent = show.filter(x => x).length + " of " + names.length + " ends, " + pairs + " of " + met.length + " pairs";
}
by("f").oninput = by("w").onchange = draw;
if (by("o")) by("o").onchange = draw;
table.onmouseover = e => {
  const c = e.target;
  if (c.tagName == "TD" && c.cellIndex > 0 && !c.title && c.closest("tbody"))
    by("n").textContent = names[c.parentNode.rowIndex - 2] + " to " + names[c.cellIndex - 1] + ": nothing";
};
draw();
</script></body></html>
`
