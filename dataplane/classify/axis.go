package classify

import "slices"

// span is an inclusive range of ports.
type span struct{ lo, hi uint16 }

// axis is one of the two port fields, cut where a range begins or ends;
// intervals that no range tells apart are one class.
type axis struct {
	of      []uint16 // by port: its class; 65,536 classes at the most, so it fits
	class   []uint32 // by interval
	first   []uint32 // by port: the interval it is in
	classes uint32
	seen    []uint32 // by class: the query it was last found in
	query   uint32
}

func newAxis(spans []span) *axis {
	slices.SortFunc(spans, func(a, b span) int { return int(a.lo)<<16 + int(a.hi) - int(b.lo)<<16 - int(b.hi) })
	spans = slices.Compact(spans)
	a := &axis{of: make([]uint16, 65536), first: make([]uint32, 65536)}
	p := newPartition(a.cut(spans))
	for _, s := range spans {
		p.begin()
		for i := a.first[s.lo]; i <= a.first[s.hi]; i++ {
			p.take(i)
		}
	}
	a.classes = p.number()
	a.class = p.class
	for port, i := range a.first {
		a.of[port] = uint16(a.class[i])
	}
	a.seen = make([]uint32, a.classes)
	return a
}

// cut numbers the intervals. 65,535 + 1 is a boundary, too: 32 bits hold it.
func (a *axis) cut(spans []span) int {
	begins := make([]bool, 65537)
	for _, s := range spans {
		begins[s.lo], begins[uint32(s.hi)+1] = true, true
	}
	n := uint32(0)
	for port := range a.first {
		if port > 0 && begins[port] {
			n++
		}
		a.first[port] = n
	}
	return int(n) + 1
}

// in appends the classes in a span, each once.
func (a *axis) in(out []uint32, s span) []uint32 {
	a.query++
	for i := a.first[s.lo]; i <= a.first[s.hi]; i++ {
		if c := a.class[i]; a.seen[c] != a.query {
			a.seen[c] = a.query
			out = append(out, c)
		}
	}
	return out
}
