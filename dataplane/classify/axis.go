package classify

import (
	"cmp"
	"slices"
)

// span is an inclusive range of ports.
type span struct{ lo, hi uint16 }

// axis is one of the two port fields, cut where a range begins or ends;
// intervals that no range tells apart are one class.
type axis struct {
	of      *[1 << 16]uint16 // by port: its class; 65,536 classes at the most, so it fits
	begins  []uint32         // by interval: its first port, ascending from 0
	class   []uint32         // by interval
	classes uint32
	seen    []uint32 // by class: the query it was last found in
	query   uint32
}

func newAxis(spans []span) *axis {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi)) })
	spans = slices.Compact(spans)
	a := &axis{of: &[1 << 16]uint16{}}
	a.cut(spans)
	p := newPartition(len(a.begins))
	for _, s := range spans {
		p.begin()
		for i, end := a.intervals(s); i < end; i++ {
			p.take(uint32(i))
		}
	}
	a.classes = p.number()
	a.class = p.class
	a.seen = make([]uint32, a.classes)
	a.fill()
	return a
}

// cut finds the intervals. 65,535 + 1 is a boundary, too: 32 bits hold it.
func (a *axis) cut(spans []span) {
	a.begins = append(a.begins, 0)
	for _, s := range spans {
		a.begins = append(a.begins, uint32(s.lo))
		if s.hi < 65535 {
			a.begins = append(a.begins, uint32(s.hi)+1)
		}
	}
	slices.Sort(a.begins)
	a.begins = slices.Compact(a.begins)
}

func (a *axis) fill() {
	for i, port := range a.begins {
		end := uint32(65536)
		if i+1 < len(a.begins) {
			end = a.begins[i+1]
		}
		for ; port < end; port++ {
			a.of[port] = uint16(a.class[i])
		}
	}
}

// intervals returns the first interval of a span, and the one after its last:
// a span ends where an interval does.
func (a *axis) intervals(s span) (first, end int) {
	first, _ = slices.BinarySearch(a.begins, uint32(s.lo))
	end, _ = slices.BinarySearch(a.begins, uint32(s.hi)+1)
	return first, end
}

// in appends the classes in a span, each once.
func (a *axis) in(out []uint32, s span) []uint32 {
	a.query++
	for i, end := a.intervals(s); i < end; i++ {
		if c := a.class[i]; a.seen[c] != a.query {
			a.seen[c] = a.query
			out = append(out, c)
		}
	}
	return out
}
