package analyze

import (
	"cmp"
	"maps"
	"slices"
)

// relation is a set of pairs of classes: by source, the destinations.
type relation map[int]bitset

// stratum is a relation and the spans that it holds for.
type stratum struct {
	spans []Span
	pairs relation
}

// gather collects which pairs something holds for on which spans, and turns
// that around: which spans share their pairs.
type gather struct {
	columns int
	exists  func(from, to int) families
	found   []hit
}

type hit struct {
	from, to int
	span     Span
}

func (g *gather) add(from, to int, p Span) {
	if g.exists(from, to)&p.families() != 0 {
		g.found = append(g.found, hit{from, to, p})
	}
}

// strata cuts the spans wherever one begins or ends, and joins the stretches
// that hold for the same pairs.
func (g *gather) strata() []stratum {
	known := map[Span]bool{}
	spans, elements := map[uint16][]Span{}, map[uint16][]Span{}
	for _, h := range g.found {
		if !known[h.span] {
			known[h.span] = true
			spans[h.span.Proto] = append(spans[h.span.Proto], h.span)
		}
	}
	for proto, list := range spans {
		elements[proto] = grid(proto, list)
	}
	held := map[Span]relation{}
	for _, h := range g.found {
		inGrid(elements[h.span.Proto], h.span, func(p Span) {
			if held[p] == nil {
				held[p] = relation{}
			}
			held[p].add(h.from, h.to, g.columns)
		})
	}
	return g.together(held)
}

func (r relation) add(from, to, columns int) {
	if r[from] == nil {
		r[from] = newBits(columns)
	}
	r[from].add(to)
}

// together joins spans of equal relations. ICMP of one family is joined with
// what holds for the same pairs of that family: that it cannot be elsewhere is
// no difference.
func (g *gather) together(held map[Span]relation) []stratum {
	at := map[string]int{}
	var out []stratum
	for _, p := range slices.SortedFunc(maps.Keys(held), func(a, b Span) int {
		return cmp.Or(cmp.Compare(b.families(), a.families()), compareSpan(a, b))
	}) {
		rel := held[p]
		i, known := at[rel.key()]
		if !known && p.families() != both {
			i = slices.IndexFunc(out, func(x stratum) bool {
				return x.spans[0].families() == both && g.only(x.pairs, p.families()).key() == rel.key()
			})
			known = i >= 0
		}
		if !known {
			i = len(out)
			at[rel.key()] = i
			out = append(out, stratum{pairs: rel})
		}
		out[i].spans = append(out[i].spans, p)
	}
	slices.SortStableFunc(out, func(a, b stratum) int { return compareSpan(a.least(), b.least()) })
	return out
}

// least is the first of a stratum's spans.
func (x *stratum) least() Span { return slices.MinFunc(x.spans, compareSpan) }

// only keeps the pairs that can be of some families.
func (g *gather) only(r relation, m families) relation {
	out := relation{}
	for from, columns := range r {
		columns.each(func(to int) {
			if g.exists(from, to)&m != 0 {
				out.add(from, to, g.columns)
			}
		})
	}
	return out
}

func (r relation) rows() []int { return slices.Sorted(maps.Keys(r)) }

// key is the relation as the key of a map.
func (r relation) key() string {
	var out []byte
	for _, from := range r.rows() {
		out = append(append(out, listKey([]int32{int32(from)})...), r[from].key()...)
	}
	return string(out)
}
