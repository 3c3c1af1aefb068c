package analyze

import (
	"slices"
	"strings"
)

// nobody is the word for those in no set that a rule names.
const nobody = "others"

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
// where that is shorter. Those who are in nothing that a part of a policy names may
// be in something that the whole does: of a part they are in neither form's words.
func (s *Space) describe(needed, may bitset) words {
	need, allowed := s.atomsOf(needed), s.atomsOf(may)
	if allowed.count() == len(s.atoms) {
		return words{[]string{"any"}, allowed}
	}
	direct := s.cover(need, allowed)
	others := s.part && slices.Contains(direct.terms, nobody)
	if direct.cost() <= 2 && !others {
		return direct
	}
	n := len(s.atoms)
	but := s.cover(allowed.clone().not(n), need.clone().not(n))
	excepted := s.part && slices.Contains(but.terms, nobody)
	if excepted || but.cost()+1 >= direct.cost() && !others {
		return direct
	}
	return words{[]string{"any but " + strings.Join(but.terms, ", ")}, but.atoms.not(n)}
}

func (s *Space) atomsOf(classes bitset) bitset {
	out := newBits(len(s.atoms))
	classes.each(func(i int) {
		for _, atom := range s.classes[i].atoms {
			out.add(int(atom))
		}
	})
	return out
}

// classesOf are the classes that some atoms touch.
func (s *Space) classesOf(atoms bitset) bitset {
	out := newBits(len(s.classes))
	for i := range s.classes {
		if slices.ContainsFunc(s.classes[i].atoms, func(atom int32) bool { return atoms.has(int(atom)) }) {
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
	var formulas []string
	for i := left.first(); i >= 0; i = left.first() {
		text, atoms := s.formula(i, may)
		formulas = append(formulas, text)
		out.atoms.or(atoms)
		left.minus(atoms)
	}
	slices.Sort(out.terms)
	slices.Sort(formulas)
	out.terms = append(out.terms, formulas...)
	return out
}

// formula writes an atom, and as many others as may be, by some of the sets
// that it is in and some that it is not in. A set that it is in is left out
// where that makes the formula no longer.
func (s *Space) formula(i int, may bitset) (string, bitset) {
	in := slices.Clone(s.atoms[i].sets)
	if len(in) == 0 {
		unnamed := newBits(len(s.atoms)).not(len(s.atoms))
		for _, m := range s.members {
			unnamed.minus(m)
		}
		return nobody, unnamed
	}
	not, _ := s.excluding(i, in, may)
	for _, set := range s.atoms[i].sets {
		less := slices.DeleteFunc(slices.Clone(in), func(o int32) bool { return o == set })
		if len(less) == 0 {
			break
		}
		if fewer, can := s.excluding(i, less, may); can && len(less)+len(fewer) <= len(in)+len(not) {
			in, not = less, fewer
		}
	}
	atoms := s.inside(in)
	var terms, but []string
	for _, set := range in {
		terms = append(terms, s.names[set])
	}
	for _, set := range not {
		atoms.minus(s.members[set])
		but = append(but, "!"+s.names[set])
	}
	slices.Sort(terms)
	slices.Sort(but)
	return strings.Join(append(terms, but...), " & "), atoms
}

// inside are the atoms that are in all of some sets.
func (s *Space) inside(sets []int32) bitset {
	out := s.members[sets[0]].clone()
	for _, set := range sets[1:] {
		out.and(s.members[set])
	}
	return out
}

// excluding finds sets that an atom is not in and that hold all that is in some
// sets but may not be.
func (s *Space) excluding(i int, sets []int32, may bitset) (not []int32, can bool) {
	bad := s.inside(sets).minus(may)
	for !bad.empty() {
		best, most := -1, 0
		for set, m := range s.members {
			if slices.Contains(s.atoms[i].sets, int32(set)) {
				continue
			}
			if n := m.countAnd(bad); n > most {
				best, most = set, n
			}
		}
		if best < 0 {
			return nil, false
		}
		not = append(not, int32(best))
		bad.minus(s.members[best])
	}
	return not, true
}
