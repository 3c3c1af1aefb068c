package analyze

import (
	"slices"
	"strings"
)

// words are names and formulas that together are a set of atoms.
type words struct {
	terms []string
	atoms bitset
}

// cost is how hard words are to read: a formula counts as three names.
func (w words) cost() int {
	n := 0
	for _, t := range w.terms {
		n++
		if strings.Contains(t, "&") {
			n += 2
		}
	}
	return n
}

// describe finds words for some classes: at least those that are needed, at
// most those that may be. Names first, by how much each covers; then what is
// left, as a formula of the names it is in and not in; or everybody but some,
// where that is shorter.
func (s *Space) describe(needed, may bitset) words {
	need, allowed := s.atomsOf(needed), s.atomsOf(may)
	if allowed.count() == len(s.atoms) {
		return words{[]string{"any"}, allowed}
	}
	direct := s.cover(need, allowed)
	if direct.cost() <= 2 {
		return direct
	}
	n := len(s.atoms)
	but := s.cover(allowed.clone().not(n), need.clone().not(n))
	if but.cost()+1 >= direct.cost() {
		return direct
	}
	return words{[]string{"any but " + strings.Join(but.terms, ", ")}, but.atoms.not(n)}
}

func (s *Space) atomsOf(classes bitset) bitset {
	out := newBits(len(s.atoms))
	classes.each(func(i int) { out.or(s.classes[i].atoms) })
	return out
}

// classesOf are the classes that some atoms touch.
func (s *Space) classesOf(atoms bitset) bitset {
	out := newBits(len(s.classes))
	for i := range s.classes {
		if s.classes[i].atoms.countAnd(atoms) > 0 {
			out.add(i)
		}
	}
	return out
}

// cover covers atoms, greedily.
func (s *Space) cover(need, may bitset) words {
	out := words{atoms: newBits(len(s.atoms))}
	left := need.clone()
	var usable []int
	for i, m := range s.members {
		if m.countAnd(need) > 0 && m.within(may) {
			usable = append(usable, i)
		}
	}
	for !left.empty() {
		best, most := -1, 0
		for _, i := range usable {
			if n := s.members[i].countAnd(left); n > most {
				best, most = i, n
			}
		}
		if best < 0 {
			break
		}
		out.terms = append(out.terms, s.names[best])
		out.atoms.or(s.members[best])
		left.minus(s.members[best])
	}
	slices.Sort(out.terms)
	out.terms = append(out.terms, s.formulas(left)...)
	out.atoms.or(left)
	return out
}

// formulas writes atoms by the sets that they are in and those that they could
// be in but are not.
func (s *Space) formulas(left bitset) []string {
	var out []string
	left.each(func(i int) { out = append(out, s.formula(s.atoms[i].sets)) })
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *Space) formula(sets []int32) string {
	if len(sets) == 0 {
		return "others"
	}
	inside := s.members[sets[0]].clone()
	for _, set := range sets[1:] {
		inside.and(s.members[set])
	}
	var terms []string
	for _, set := range sets {
		implied := slices.ContainsFunc(sets, func(o int32) bool {
			return o != set && s.members[o].within(s.members[set]) && (o < set || !s.members[set].within(s.members[o]))
		})
		if !implied {
			terms = append(terms, s.names[set])
		}
	}
	slices.Sort(terms)
	var not []string
	for i, m := range s.members {
		if !slices.Contains(sets, int32(i)) && m.countAnd(inside) > 0 {
			not = append(not, "!"+s.names[i])
		}
	}
	slices.Sort(not)
	return strings.Join(append(terms, not...), " & ")
}
