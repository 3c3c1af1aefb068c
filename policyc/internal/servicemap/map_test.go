package servicemap

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func draw(n, lines int, seed uint64) *Map {
	r, m := rand.New(rand.NewPCG(seed, 1)), &Map{}
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		if i%3 == 0 {
			name = fmt.Sprintf("team-%d/%s", i%4, name)
		}
		m.Ends = append(m.Ends, End{name, "service"})
	}
	for range lines {
		m.Lines = append(m.Lines, Line{r.IntN(n), r.IntN(n), "tcp/443"})
	}
	return m
}

// TestLayout holds what a drawing promises of any map, circles and all: nothing
// stands on anything, and a line that closes no circle goes to the right, through
// each column that it passes.
func TestLayout(t *testing.T) {
	for seed := range uint64(200) {
		m := draw(1+int(seed)%40, int(seed)%90, seed)
		l, back := place(m), circles(m)
		for _, column := range l.columns {
			for i := 1; i < len(column); i++ {
				a, b := column[i-1], column[i]
				if l.spots[b].y-l.spots[a].y < l.apart(a, b)-1e-6 {
					t.Fatalf("seed %d: %d and %d stand on each other: %v, %v", seed, a, b, l.spots[a], l.spots[b])
				}
			}
		}
		for i, way := range l.lines {
			if way[0] != m.Lines[i].From || way[len(way)-1] != m.Lines[i].To {
				t.Fatalf("seed %d: line %v goes %v", seed, m.Lines[i], way)
			}
			for j := 1; j < len(way); j++ {
				step := l.spots[way[j]].column - l.spots[way[j-1]].column
				if back[i] && step != -1 || !back[i] && step != 1 {
					t.Fatalf("seed %d: line %v, back %v, steps %d", seed, m.Lines[i], back[i], step)
				}
			}
		}
	}
}

// TestLayoutOfAChain has the order of the requests, and no line back.
func TestLayoutOfAChain(t *testing.T) {
	m := &Map{Ends: []End{{"db", "service"}, {"api", "service"}, {"web", "service"}}, Lines: []Line{{2, 1, ""}, {1, 0, ""}}}
	l := place(m)
	if l.spots[2].column != 0 || l.spots[1].column != 1 || l.spots[0].column != 2 {
		t.Errorf("web, api, db stand in columns %d, %d, %d", l.spots[2].column, l.spots[1].column, l.spots[0].column)
	}
}

// TestPictures are well formed, the same each time, and escape what is no letter.
func TestPictures(t *testing.T) {
	m := draw(30, 60, 7)
	m.Ends[3].Name = `a<b>&"c`
	for name, write := range map[string]func(*Map, io.Writer) error{"svg": (*Map).SVG, "html": (*Map).HTML} {
		var one, two strings.Builder
		if err := errors.Join(write(m, &one), write(m, &two)); err != nil {
			t.Fatal(err)
		}
		if one.String() != two.String() {
			t.Errorf("%s: two pictures of one map differ", name)
		}
		if strings.Contains(one.String(), "a<b>") {
			t.Errorf("%s: a name is not escaped", name)
		}
	}
	var b strings.Builder
	if err := m.SVG(&b); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "g" {
			count[e.Attr[0].Value]++
		}
	}
	if count["end"] != 30 || count["line"] != 60 {
		t.Errorf("the picture has %v", count)
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	err := draw(MaxEnds+1, 1, 1).SVG(io.Discard)
	if err == nil || !strings.Contains(err.Error(), "--scope") {
		t.Errorf("got %v", err)
	}
}

func TestScopeAndWhoeverItHasToDoWith(t *testing.T) {
	m := &Map{
		Ends:  []End{{"pay/api", "service"}, {"shop/web", "service"}, {"office", "network"}, {"pay/vault", "service"}},
		Lines: []Line{{0, 3, "a"}, {1, 0, "b"}, {2, 1, "c"}},
	}
	got := fmt.Sprint(*m.Of("shop"), *m.Linked().Of("other"))
	if want := "{[{pay/api service} {shop/web service} {office network}] [{1 0 b} {2 1 c}]} {[] []}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkPicture(b *testing.B) {
	m := draw(500, 2000, 1)
	for b.Loop() {
		if err := m.SVG(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
