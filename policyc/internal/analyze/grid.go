package analyze

import (
	"cmp"
	"fmt"
	"slices"
)

// Ports and source ports make a plane, and what rules say of it is rectangles.
// It is cut first along the ports, wherever a rectangle begins or ends; and each
// stripe then along the source ports, wherever a rectangle that crosses the stripe
// does. So a stripe that no rule with source ports crosses is one piece, and a
// policy without any is cut as a line is.
//
// n rectangles make at the most (2n+1) stripes of (2n+1) pieces, which is too much
// where thousands of rules with ports and source ports of their own meet:
// [MaxPieces].

// MaxPieces bounds the pieces of one protocol that the rules of an analysis can
// be cut into, were all of them to meet.
const MaxPieces = 1 << 20

// crowded refuses rules that would be cut into too many pieces.
func (s *Space) crowded() error {
	stripes, columns := map[Span]bool{}, map[Span]bool{}
	for i := range s.rules {
		for _, q := range s.rules[i].ports {
			p := spanOf(q)
			if p.Proto == rest {
				continue
			}
			stripes[Span{Proto: p.Proto, Lo: p.Lo, Hi: p.Hi}] = true
			if !p.allSources() {
				columns[Span{Proto: p.Proto, SrcLo: p.SrcLo, SrcHi: p.SrcHi}] = true
			}
		}
	}
	var high, wide [rest]int
	for p := range stripes {
		high[p.Proto]++
	}
	for p := range columns {
		wide[p.Proto]++
	}
	for proto := range high {
		if wide[proto] > 0 && (2*high[proto]+1)*(2*wide[proto]+1) > MaxPieces {
			return fmt.Errorf("rules have %d ranges of ports of protocol %d and %d of its source ports, which cut each other into more than %d pieces: analyse fewer files at once, or use ranges that are alike",
				high[proto], proto, wide[proto], MaxPieces)
		}
	}
	return nil
}

// grid cuts all of a protocol wherever one of some spans of it begins or ends, in
// the order of ports and then of source ports.
func grid(proto uint16, spans []Span) []Span {
	stripes := stretches(spans, func(p Span) (lo, hi uint16) { return p.Lo, p.Hi })
	sourced := slices.DeleteFunc(slices.Clone(spans), Span.allSources)
	slices.SortFunc(sourced, compareSpan)
	out := make([]Span, 0, len(stripes))
	var across []Span // those that cross the stripe
	for _, y := range stripes {
		across = slices.DeleteFunc(across, func(p Span) bool { return p.Hi < y[0] })
		for len(sourced) > 0 && sourced[0].Lo <= y[0] {
			across, sourced = append(across, sourced[0]), sourced[1:]
		}
		if len(across) == 0 {
			out = append(out, Span{proto, y[0], y[1], 0, 65535})
			continue
		}
		for _, x := range stretches(across, func(p Span) (lo, hi uint16) { return p.SrcLo, p.SrcHi }) {
			out = append(out, Span{proto, y[0], y[1], x[0], x[1]})
		}
	}
	return out
}

// stretches cut 0 to 65535 wherever a span begins or ends.
func stretches(spans []Span, of func(Span) (lo, hi uint16)) [][2]uint16 {
	starts := make([]uint16, 1, 1+2*len(spans))
	for _, p := range spans {
		lo, hi := of(p)
		starts = append(starts, lo)
		if hi < 65535 {
			starts = append(starts, hi+1)
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	out := make([][2]uint16, len(starts))
	for i, lo := range starts {
		out[i] = [2]uint16{lo, 65535}
		if i > 0 {
			out[i-1][1] = lo - 1
		}
	}
	return out
}

// inGrid calls f with each element of a protocol's grid that is in a span, one of
// those that the grid was cut by.
func inGrid(elements []Span, span Span, f func(Span)) {
	first, _ := slices.BinarySearchFunc(elements, span.Lo, func(p Span, lo uint16) int { return cmp.Compare(p.Lo, lo) })
	for _, p := range elements[first:] {
		if p.Lo > span.Hi {
			return
		}
		if p.within(span) {
			f(p)
		}
	}
}

// join writes spans in the one way there is for what they hold: sorted, the
// stripes as high as they can be, and in a stripe the source ports as wide.
func join(spans []Span) []Span {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, compareSpan)
	var out []Span
	for len(spans) > 0 {
		n := 1
		for n < len(spans) && spans[n].Proto == spans[0].Proto {
			n++
		}
		if slices.ContainsFunc(spans[:n], func(p Span) bool { return !p.allSources() }) {
			out = append(out, joinPlane(spans[:n])...)
		} else {
			out = append(out, joinLine(spans[:n])...)
		}
		spans = spans[n:]
	}
	return out
}

// joinLine joins sorted spans of one protocol and of all source ports that overlap
// or touch.
func joinLine(spans []Span) []Span {
	var out []Span
	for _, p := range spans {
		if n := len(out); n > 0 && int(p.Lo) <= int(out[n-1].Hi)+1 {
			out[n-1].Hi = max(out[n-1].Hi, p.Hi)
			continue
		}
		out = append(out, p)
	}
	return out
}

// joinPlane joins sorted spans of one protocol: what each stripe holds, and then
// the stripes that hold the same.
func joinPlane(spans []Span) []Span {
	proto := spans[0].Proto
	var out, last, across []Span // last is the stripe before
	for _, y := range stretches(spans, func(p Span) (lo, hi uint16) { return p.Lo, p.Hi }) {
		across = slices.DeleteFunc(across, func(p Span) bool { return p.Hi < y[0] })
		for len(spans) > 0 && spans[0].Lo <= y[0] {
			across, spans = append(across, spans[0]), spans[1:]
		}
		stripe := joinSources(across)
		for i := range stripe {
			stripe[i].Proto, stripe[i].Lo, stripe[i].Hi = proto, y[0], y[1]
		}
		if slices.EqualFunc(last, stripe, func(a, b Span) bool { return a.SrcLo == b.SrcLo && a.SrcHi == b.SrcHi }) {
			for i := range last {
				last[i].Hi = y[1]
			}
			continue
		}
		out, last = append(out, last...), stripe
	}
	return append(out, last...)
}

// joinSources joins the source ports of spans.
func joinSources(spans []Span) []Span {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.SrcLo, b.SrcLo) })
	var out []Span
	for _, p := range spans {
		if n := len(out); n > 0 && int(p.SrcLo) <= int(out[n-1].SrcHi)+1 {
			out[n-1].SrcHi = max(out[n-1].SrcHi, p.SrcHi)
			continue
		}
		out = append(out, p)
	}
	return out
}
