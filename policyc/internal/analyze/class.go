package analyze

import (
	"iter"
	"maps"
	"slices"

	"bulkhead/dataplane/policy"
	"bulkhead/policyc/internal/check"
)

// atom is a class of subjects that no set tells apart: labels and addresses.
type atom struct {
	sets    []int32
	labels  map[string]string
	witness addrAtom
	texts   [2][2]string // of the subjects, by family and end; "": not asked for yet
}

// end is which of the two addresses of an atom a subject has: both ends of a
// connection can be of one atom.
type end uint8

const (
	oneEnd end = iota
	otherEnd
)

// subject is the atom's witness in a family that it can have. An analysis asks
// for it for each piece of a cell: its text is made once.
func (a *atom) subject(f family, e end) check.Subject {
	s := check.Subject{Labels: a.labels, Addr: a.witness.witness[f]}
	if e == otherEnd {
		s.Addr = a.witness.other[f]
	}
	text := &a.texts[f][e]
	if *text == "" {
		*text = describe(s, len(a.witness.sets) > 0)
	}
	s.Text = *text
	return s
}

// class is the atoms that the same rules can meet.
type class struct {
	from, to []int32 // the rules that it can be the source, the destination of; without those of anybody
	atoms    []int32 // ascending
	families families
	witness  [2]int32 // by family: an atom
}

// combine makes the atoms of labels and addresses. A subject can have any of both,
// an endpoint any of those that endpoints have; the first labels are nobody's. Those on the link come last: they are poor witnesses.
func (s *Space) combine(labels []labelAtom, addrs, ofEndpoints []addrAtom) {
	for _, inside := range [2]bool{false, true} {
		for i, l := range labels {
			at := addrs
			if i > 0 {
				at = ofEndpoints
			}
			for _, a := range at {
				if a.inside == inside {
					s.atoms = append(s.atoms, atom{sets: union(s.own(l, a), a.sets), labels: l.labels, witness: a})
				}
			}
		}
	}
	s.members = make([]bitset, len(s.sets))
	for i := range s.members {
		s.members[i] = newBits(len(s.atoms))
	}
	for i := range s.atoms {
		for _, set := range s.atoms[i].sets {
			s.members[set].add(i)
		}
	}
}

// own are the sets that an atom is in by who has the address.
func (s *Space) own(l labelAtom, a addrAtom) []int32 {
	switch {
	case l.labels != nil:
		return l.sets
	case a.inside:
		return nil
	}
	return s.outsideSet()
}

// outsideSet is the set outside, if a rule names it.
func (s *Space) outsideSet() []int32 {
	if i := slices.IndexFunc(s.sets, func(set policy.Set) bool { return set.Kind == policy.KindOutside }); i >= 0 {
		return []int32{int32(i)}
	}
	return nil
}

// classify joins the atoms that the same rules can meet.
func (s *Space) classify() {
	s.file()
	known := map[string]int{}
	for i := range s.atoms {
		sources, targets := collect(s.fromSet, s.atoms[i].sets), collect(s.toSet, s.atoms[i].sets)
		key := listKey(sources) + "|" + listKey(targets)
		at, found := known[key]
		if !found {
			at = len(s.classes)
			known[key] = at
			s.classes = append(s.classes, class{from: sources, to: targets})
		}
		s.classes[at].join(i, s.atoms[i].witness.families())
	}
	s.toOf = make([][]int32, len(s.rules))
	for i := range s.classes {
		for _, r := range s.classes[i].to {
			s.toOf[r] = append(s.toOf[r], int32(i))
		}
	}
	for i := range s.rules {
		if s.rules[i].from.any {
			s.fromAny = append(s.fromAny, int32(i))
		}
		if s.rules[i].to.any {
			s.toAny = append(s.toAny, int32(i))
		}
	}
}

// join adds an atom. The first of a family is the witness.
func (c *class) join(atom int, m families) {
	c.atoms = append(c.atoms, int32(atom))
	for f := v4; f <= v6; f++ {
		if m.has(f) && !c.families.has(f) {
			c.witness[f] = int32(atom)
		}
	}
	c.families |= m
}

// file lists the rules by the sets that they name, once.
func (s *Space) file() {
	if s.fromSet == nil {
		s.fromSet, s.toSet = s.rulesOf(func(r *rule) side { return r.from }), s.rulesOf(func(r *rule) side { return r.to })
	}
}

// rulesOf lists by set the rules that name it on one side.
func (s *Space) rulesOf(of func(*rule) side) [][]int32 {
	out := make([][]int32, len(s.sets))
	for i := range s.rules {
		for _, set := range of(&s.rules[i]).sets {
			out[set] = append(out[set], int32(i))
		}
	}
	return out
}

func collect(rules [][]int32, sets []int32) []int32 {
	var out []int32
	for _, set := range sets {
		out = append(out, rules[set]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// row is what one source meets: base with every destination, but for those with
// a list of their own. Lists are of rules, ascending.
type row struct {
	base []int32
	own  map[int32][]int32
}

// row takes the rules that a source can be the source of.
func (s *Space) row(source []int32) row {
	r := row{own: map[int32][]int32{}}
	for _, i := range source {
		if s.rules[i].to.any {
			r.base = append(r.base, i)
			continue
		}
		for _, to := range s.toOf[i] {
			r.own[to] = append(r.own[to], i)
		}
	}
	for to, list := range r.own {
		r.own[to] = union(list, r.base)
	}
	return r
}

func (s *Space) rowOf(class int) row { return s.row(union(s.classes[class].from, s.fromAny)) }

// pair is a source, a destination and what they meet. A connection is of one
// family: a pair that shares none does not exist.
type pair struct {
	from, to int // classes
	families families
	cell     *cell
}

// pairs calls f with each pair that exists and whose cell is wanted, in order.
// Most pairs of a row meet what everybody meets: if that is not wanted the row
// has only the few pairs that have rules of their own.
func (s *Space) pairs(wanted func(*cell, families) bool, f func(pair)) {
	for a := range s.classes {
		r := s.rowOf(a)
		base := s.baseOf(a, r)
		for b := range s.columns(r, base != nil && wanted(base, s.classes[a].families)) {
			m := s.classes[a].families & s.classes[b].families
			if m == 0 {
				continue
			}
			c := base
			if list, own := r.own[int32(b)]; own {
				c = s.cellAt(list, a, b, m)
			}
			if wanted(c, m) {
				f(pair{a, b, m, c})
			}
		}
	}
}

// columns are the destinations of a row, ascending: all, or those with rules of
// their own.
func (s *Space) columns(r row, all bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		if all {
			for b := range s.classes {
				if !yield(b) {
					return
				}
			}
			return
		}
		for _, b := range slices.Sorted(maps.Keys(r.own)) {
			if !yield(int(b)) {
				return
			}
		}
	}
}

// baseOf is the cell of a row's destinations without rules of their own; nil,
// if there is none.
func (s *Space) baseOf(a int, r row) *cell {
	for b := range s.classes {
		m := s.classes[a].families & s.classes[b].families
		if _, own := r.own[int32(b)]; !own && m != 0 {
			return s.cellAt(r.base, a, b, m)
		}
	}
	return nil
}

func (s *Space) cellAt(rules []int32, a, b int, m families) *cell {
	return s.cell(rules, func() (check.Subject, check.Subject) { return s.subject(a, m), s.subject(b, m) })
}

// subject is a class's witness in the first of some families.
func (s *Space) subject(class int, m families) check.Subject {
	return s.atoms[s.classes[class].witness[m.first()]].subject(m.first(), oneEnd)
}

// peer is a class's witness for a connection with somebody: at another address,
// if the class has two.
func (s *Space) peer(class int, m families, of check.Subject) check.Subject {
	a := &s.atoms[s.classes[class].witness[m.first()]]
	if x := a.subject(m.first(), oneEnd); x.Addr != of.Addr {
		return x
	}
	return a.subject(m.first(), otherEnd)
}
