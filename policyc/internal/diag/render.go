package diag

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown bounds the characters of a source line that are printed. A longer
// line is cut around the spot, because a line of a generated file may be
// megabytes.
const maxShown = 160

// Render writes the findings for people: the line, the source under it, a
// caret under the spot, the cure and the other places.
func (l *List) Render(w io.Writer) error {
	out := bufio.NewWriter(w)
	for i := range l.All {
		l.All[i].render(out)
	}
	return out.Flush()
}

func (d *Diagnostic) render(out io.Writer) {
	fmt.Fprintln(out, visible(d.Line()))
	quote(out, d.At)
	if d.Cure != "" {
		fmt.Fprintf(out, "    cure: %s\n", visible(d.Cure))
	}
	for _, n := range d.Notes {
		fmt.Fprintf(out, "%snote: %s\n", visible(where(n.At)), visible(n.Message))
		quote(out, n.At)
	}
}

// quote prints the source line and carets under the span. Tabs are kept in
// the caret line so that both lines are indented alike at any tab width.
func quote(out io.Writer, at Span) {
	if at.Src == nil {
		return
	}
	line, col := string(at.text()), at.Col()-1
	width := min(int(at.Len), len(at.Src.Text)-int(at.Off))
	marked := utf8.RuneCountInString(firstLine(string(at.Src.Text[at.Off : int(at.Off)+max(width, 0)])))
	runes, col := cut([]rune(visible(line)), col)
	var lead strings.Builder
	for _, r := range runes[:min(col, len(runes))] {
		if r == '\t' {
			lead.WriteRune('\t')
			continue
		}
		lead.WriteRune(' ')
	}
	marked = min(max(marked, 1), max(len(runes)-col, 1))
	fmt.Fprintf(out, "    %s\n    %s%s\n", string(runes), lead.String(), strings.Repeat("^", marked))
}

// cut keeps at most maxShown characters around the one at col.
func cut(runes []rune, col int) ([]rune, int) {
	if len(runes) <= maxShown {
		return runes, col
	}
	start := max(0, min(col-maxShown/2, len(runes)-maxShown))
	return runes[start : start+maxShown], col - start
}

// visible replaces what a terminal would obey rather than show, so that a
// hostile policy file cannot repaint the screen of who checks it: control
// characters, and those of format, which turn the order of text around.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return utf8.RuneError
		}
		return r
	}, s)
}

func firstLine(s string) string {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		return s[:i]
	}
	return s
}
