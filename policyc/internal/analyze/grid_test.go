package analyze

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// plane is what spans hold, point by point, in a corner of the plane and at its
// far ends: the slow twin of join and grid.
func plane(spans []Span) map[[2]uint16]bool {
	out := map[[2]uint16]bool{}
	for _, p := range spans {
		for _, x := range points {
			for _, y := range points {
				if p.Lo <= y && y <= p.Hi && p.SrcLo <= x && x <= p.SrcHi {
					out[[2]uint16{x, y}] = true
				}
			}
		}
	}
	return out
}

// points are all coordinates that drawn spans begin or end at, or beside.
var points = []uint16{0, 1, 2, 3, 4, 5, 6, 7, 8, 65533, 65534, 65535}

func drawSpans(r *rand.Rand) []Span {
	edge := func() (lo, hi uint16) {
		if r.IntN(4) == 0 {
			return 0, 65535
		}
		a, b := points[r.IntN(len(points))], points[r.IntN(len(points))]
		return min(a, b), max(a, b)
	}
	var out []Span
	for range 1 + r.IntN(5) {
		p := Span{Proto: 6}
		p.Lo, p.Hi = edge()
		p.SrcLo, p.SrcHi = edge()
		out = append(out, p)
	}
	return out
}

// Joined spans hold what they held, no point twice; and what holds the same is
// written the same, however it was cut.
func TestJoinIsTheOneWayToWriteSpans(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 20000 {
		spans := drawSpans(r)
		joined := join(spans)
		total := 0
		for _, p := range joined {
			total += len(plane([]Span{p}))
		}
		held := plane(joined)
		if want := plane(spans); !equal(held, want) || total != len(held) {
			t.Fatalf("seed %d round %d: %v became %v", seed, round, spans, joined)
		}
		var cut []Span
		for _, p := range grid(6, append(spans, drawSpans(r)...)) {
			if slices.ContainsFunc(spans, p.within) {
				cut = append(cut, p)
			}
		}
		r.Shuffle(len(cut), func(i, j int) { cut[i], cut[j] = cut[j], cut[i] })
		if again := join(cut); !slices.Equal(again, joined) {
			t.Fatalf("seed %d round %d: %v is written %v, and cut %v", seed, round, spans, joined, again)
		}
	}
}

// A grid holds every point once, and each of its elements is in a span or beside
// it, never across an edge.
func TestGridCutsAtEveryEdge(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 20000 {
		spans := drawSpans(r)
		elements := grid(6, spans)
		size := uint64(0)
		for i, p := range elements {
			size += (uint64(p.Hi-p.Lo) + 1) * (uint64(p.SrcHi-p.SrcLo) + 1)
			if i > 0 && compareSpan(elements[i-1], p) >= 0 {
				t.Fatalf("seed %d round %d: %v is not sorted", seed, round, elements)
			}
			for _, q := range spans {
				if _, some := p.and(q); some && !p.within(q) {
					t.Fatalf("seed %d round %d: %v lies across the edge of %v", seed, round, p, q)
				}
			}
		}
		if size != 1<<32 {
			t.Fatalf("seed %d round %d: %v is %d of the plane", seed, round, elements, size)
		}
		for _, q := range spans {
			held := map[[2]uint16]bool{}
			inGrid(elements, q, func(p Span) {
				for at := range plane([]Span{p}) {
					held[at] = true
				}
			})
			if !equal(held, plane([]Span{q})) {
				t.Fatalf("seed %d round %d: in %v the elements of %v are not it", seed, round, elements, q)
			}
		}
	}
}

func equal(a, b map[[2]uint16]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for at := range a {
		if !b[at] {
			return false
		}
	}
	return true
}
