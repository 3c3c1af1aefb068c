package analyze

import (
	"fmt"
	"maps"
	"slices"
)

// MaxPairs bounds the pairs of ends that are asked, and so what is found.
const MaxPairs = 1 << 22

// meetings are the pairs of ends of a matrix. Most of them no rule names, and what
// these may is what the source may towards anybody: nearly always nothing. So a
// source is asked with those alone whom a rule of its own goes to, unless it may
// something towards anybody.
type meetings struct {
	s     *Space
	m     *Matrix
	to    [][]int32 // by rule: the ends that it goes to, but for those to anybody
	known map[met]Allowed
	asked int
}

// met is what two subjects meet, and the families that they can meet in.
type met struct {
	cell     *cell
	families families
}

func (s *Space) newMeetings(m *Matrix) *meetings {
	x := &meetings{s: s, m: m, to: make([][]int32, len(s.rules)), known: map[met]Allowed{}}
	for j := range m.Ends {
		for _, k := range m.Ends[j].subjects {
			for _, r := range k.to {
				if last := len(x.to[r]); !s.rules[r].to.any && (last == 0 || x.to[r][last-1] != int32(j)) {
					x.to[r] = append(x.to[r], int32(j))
				}
			}
		}
	}
	return x
}

// ask fills in the pairs that are wanted, or none if they are too many.
func (x *meetings) ask(wanted func(from, to int) bool) error {
	columns := make([][]int32, len(x.m.Ends))
	for i := range columns {
		for _, j := range x.columns(i) {
			if !wanted(i, int(j)) {
				continue
			}
			if x.asked++; x.asked > MaxPairs {
				return fmt.Errorf("rules speak of more than %d pairs of services and networks: leave one scope by --scope, or ask about one end by query --from or --to", MaxPairs)
			}
			columns[i] = append(columns[i], j)
		}
	}
	for i, row := range columns {
		for _, j := range row {
			if a := x.meet(&x.m.Ends[i], &x.m.Ends[j]); len(a.Ports) > 0 || a.Part {
				x.m.Cells[i][int(j)] = a
			}
		}
	}
	return nil
}

// columns are the ends that a source may be allowed anything towards.
func (x *meetings) columns(from int) []int32 {
	own := map[int32]bool{}
	for _, k := range x.m.Ends[from].subjects {
		for _, r := range k.from {
			for _, j := range x.to[r] {
				own[j] = true
			}
		}
	}
	if !slices.ContainsFunc(x.m.Ends[from].subjects, func(k *known) bool { return x.open(k, own) }) {
		return slices.Sorted(maps.Keys(own))
	}
	all := make([]int32, len(x.m.Ends))
	for j := range all {
		all[j] = int32(j)
	}
	return all
}

// open tells whether a subject may something towards those whom no rule of its own
// goes to. They all meet the same rules of it: the first that it can meet is asked.
func (x *meetings) open(from *known, own map[int32]bool) bool {
	for j := range x.m.Ends {
		if own[int32(j)] {
			continue
		}
		for _, to := range x.m.Ends[j].subjects {
			if from.families&to.families != 0 {
				return slices.ContainsFunc(x.s.cellOf(from, to).pieces, func(p piece) bool { return p.allow[0] })
			}
		}
	}
	return false
}

// meet is Space.meet. Ends of one subject each, which nearly all are, may what others
// may who meet the same rules.
func (x *meetings) meet(from, to *End) Allowed {
	if len(from.subjects) != 1 || len(to.subjects) != 1 {
		return x.s.meet(from, to)
	}
	a, b := from.subjects[0], to.subjects[0]
	at := met{x.s.cellOf(a, b), a.families & b.families}
	allowed, known := x.known[at]
	if !known {
		allowed = x.s.meet(from, to)
		x.known[at] = allowed
	}
	return allowed
}

// meet asks for each pair of two ends' subjects that can meet. A protocol that
// is of one family is asked of that family alone.
func (s *Space) meet(from, to *End) Allowed {
	common := map[uint16][]Span{}
	var m families
	part := false
	for _, a := range from.subjects {
		for _, b := range to.subjects {
			if f := a.families & b.families; f != 0 {
				m |= f
				part = s.narrow(common, s.cellOf(a, b), f) || part
			}
		}
	}
	var all []Span
	for _, spans := range common {
		all = append(all, spans...)
	}
	return Allowed{s.portWords(all, m), part}
}

// narrow keeps of each protocol what a cell allows as well, and tells whether
// the two were of one mind.
func (s *Space) narrow(common map[uint16][]Span, c *cell, m families) (differ bool) {
	allowed := map[uint16][]Span{}
	for _, p := range c.pieces {
		if p.allow[0] {
			allowed[p.Proto] = append(allowed[p.Proto], p.Span)
		}
	}
	for _, proto := range s.protos {
		if whole(proto).families()&m == 0 {
			continue
		}
		now := join(allowed[proto])
		if was, asked := common[proto]; asked && !slices.Equal(was, now) {
			differ, now = true, overlap(was, now)
		}
		common[proto] = now
	}
	return differ
}

// overlap is what is in both of two lists of one protocol's spans.
func overlap(a, b []Span) []Span {
	var out []Span
	for _, x := range a {
		for _, y := range b {
			if both, some := x.and(y); some {
				out = append(out, both)
			}
		}
	}
	return join(out)
}
