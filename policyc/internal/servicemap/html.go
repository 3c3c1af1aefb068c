package servicemap

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// HTML writes a map as a page that needs nothing else: a filter by name, and what
// the pointer is on stands out with all its lines. It fails where a map is too
// large.
func (m *Map) HTML(w io.Writer) error {
	if err := m.fits(); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(pageHead)
	b.WriteString(m.picture())
	b.WriteString("<ul id=\"l\">\n")
	for _, l := range m.Lines {
		fmt.Fprintf(&b, `<li data-from="%d" data-to="%d">%s to %s: %s</li>`+"\n", l.From, l.To,
			html.EscapeString(m.Ends[l.From].Name), html.EscapeString(m.Ends[l.To].Name), html.EscapeString(l.Ports))
	}
	b.WriteString(pageTail)
	_, err := io.WriteString(w, b.String())
	return err
}

const pageHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>The service map</title>
<style>
body { font: 13px sans-serif; margin: 1em; }
svg { max-width: none; }
.dim { opacity: .12; }
.end { cursor: pointer; }
.line.hot path { stroke: #d33; stroke-width: 2; }
</style></head><body>
<h1>The service map</h1>
<p>Whoever connects stands to the left, as far as circles allow. Point at a box or a line; click a box to keep it.
<label>Filter: <input id="f" placeholder="part of a name"></label> <span id="n"></span></p>
`

const pageTail = `</ul>
<script>
const ends = [...document.querySelectorAll(".end")], lines = [...document.querySelectorAll(".line")];
const items = [...document.querySelectorAll("#l li")], filter = document.getElementById("f");
const names = ends.map(e => e.querySelector("text").textContent.toLowerCase());
let kept = null, over = null;
function draw() {
  const want = filter.value.toLowerCase(), chosen = over ?? kept;
  const on = i => chosen !== null ? i == chosen : names[i].includes(want);
  const show = e => on(e.dataset.from) || on(e.dataset.to);
  const near = new Set();
  lines.forEach(e => {
    const s = show(e);
    e.classList.toggle("dim", !s);
    e.classList.toggle("hot", s && (chosen !== null || want != ""));
    if (s) { near.add(e.dataset.from); near.add(e.dataset.to); }
  });
  ends.forEach(e => e.classList.toggle("dim", !on(e.dataset.end) && !near.has(e.dataset.end)));
  let shown = 0;
  items.forEach(e => { e.hidden = !show(e); shown += !e.hidden; });
  document.getElementById("n").textContent = shown + " of " + items.length + " pairs";
}
ends.forEach(e => {
  e.onmouseenter = () => { over = e.dataset.end; draw(); };
  e.onmouseleave = () => { over = null; draw(); };
  e.onclick = () => { kept = kept == e.dataset.end ? null : e.dataset.end; draw(); };
});
filter.oninput = draw;
draw();
</script></body></html>
`
