package analyze

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"bulkhead/policyc/compile"
)

// hundred is a policy of five teams, each with twenty services in a chain, and a
// service of nobody's that goes everywhere: its matrix, or that of some ends.
func hundred(t *testing.T, of func(End) bool) *Matrix {
	t.Helper()
	sources := []compile.Source{{Name: "all.toml", Text: []byte(`version = 1
[services.gate]
labels = { app = "gate" }
[networks.office]
cidrs = ["192.0.2.0/24"]
[[rules]]
name = "gate"
allow = { from = ["gate"], to = ["any"], ports = ["any"] }
[[rules]]
name = "office"
allow = { from = ["office"], to = ["gate"], ports = ["tcp/443"] }
`)}}
	for team := range 5 {
		var b strings.Builder
		fmt.Fprintf(&b, "version = 1\n[scope]\nname = \"team%d\"\nlabels = { team = \"%d\" }\n", team, team)
		for i := range 20 {
			fmt.Fprintf(&b, "[services.s%02d]\nlabels = { app = \"s%d\" }\n", i, i)
		}
		for i := range 19 {
			fmt.Fprintf(&b, "[[rules]]\nname = \"r%d\"\nallow = { from = [\"s%02d\"], to = [\"s%02d\"], ports = [\"tcp/80%02d\"] }\n", i, i, i+1, i)
		}
		sources = append(sources, compile.Source{Name: fmt.Sprintf("team%d.toml", team), Text: []byte(b.String())})
	}
	p, findings := compile.Check(sources)
	var out strings.Builder
	if err := findings.Render(&out); err != nil || findings.Failed() {
		t.Fatalf("%v\n%s", err, out.String())
	}
	m, err := MatrixOf(p, of)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A page of a hundred services is one that can be read: teams stand together
// under their names, each cell that is not empty says what it means, and the
// page does not weigh much.
func TestThePageOfAHundredServices(t *testing.T) {
	m := hundred(t, nil)
	page, n := m.HTML(), len(m.Ends)
	if n != 103 {
		t.Fatalf("%d ends", n)
	}
	for pattern, want := range map[string]int{
		`<td(>| class| title)`: n*n + 2, // and the corners of the two heads
		`<td class="(all|some)( edge)?" title="[^"]+ to [^"]+: [^"]+"></td>`: 103 + 5*19 + 1,
		`<li>`:                                  103 + 5*19 + 1,
		`<th colspan="20">team\d</th>`:          5,
		`<th colspan="\d+">`:                    7, // gate before them, office and outside behind
		`<tr class="edge">`:                     6,
		`<option>team\d</option>`:               5,
		`<th class="service( edge)?"`:           101 * 2,
		`<th class="(network|outside)( edge)?"`: 2 * 2,
		`(src|href)=`:                           0, // it needs nothing else
		`<input id="f"|<select id="o"`:          2,
	} {
		if got := len(regexp.MustCompile(pattern).FindAllString(page, -1)); got != want {
			t.Errorf("%s: %d, want %d", pattern, got, want)
		}
	}
	if len(page) > 200_000 {
		t.Errorf("%d bytes", len(page))
	}
}

// What a matrix of one scope says is what the whole says of those ends.
func TestAMatrixOfOneScope(t *testing.T) {
	m := hundred(t, nil)
	part := hundred(t, func(e End) bool { return e.Scope() == "team3" })
	if len(part.Ends) != 21 || part.Ends[0].Name != "gate" || part.Ends[1].Name != "team3/s00" {
		t.Errorf("ends %v", part.Ends)
	}
	for i, from := range part.Ends {
		for j, to := range part.Ends {
			if got, want := part.Cells[i][j].sentence(from, to), m.said(from.Name, to.Name); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
	if none := hundred(t, func(e End) bool { return e.Scope() == "team" }); len(none.Ends) != 0 {
		t.Errorf("a scope that is not there: %v", none.Ends)
	}
}

// said finds what a matrix says of two ends by name.
func (m *Matrix) said(from, to string) string {
	for i, a := range m.Ends {
		for j, b := range m.Ends {
			if a.Name == from && b.Name == to {
				return m.Cells[i][j].sentence(a, b)
			}
		}
	}
	return "no such ends"
}
