package analyze

import (
	"bulkhead/policyc/internal/check"
)

// measure says of each allow whether it is for everybody, or of everything: in
// one round of the entries, for a rule may be several, and to look for those of
// each rule takes as many rounds as there are rules.
//
// Of a rule of a scope neither entry is for everybody: it speaks for the scope's
// end alone.
func (l *linter) measure() {
	var everybody, everything = make([]bool, len(l.rules)), make([]bool, len(l.rules))
	count := make([]int, len(l.s.members)) // of the atoms of each set
	for i, members := range l.s.members {
		count[i] = members.count()
	}
	for i := range l.s.rules {
		e := &l.s.rules[i]
		if !e.src.Allow {
			continue
		}
		if l.s.holdsAll(e.from, count) && l.s.holdsAll(e.to, count) {
			everybody[e.at] = true
		}
		if e.matches(whole(rest)) {
			everything[e.at] = true
		}
	}
	for i := range l.rules {
		l.rules[i].broad = breadth(everybody[i], everything[i])
	}
}

func breadth(everybody, everything bool) string {
	switch {
	case everybody && everything:
		return "it allows everybody everything"
	case everybody:
		return "it allows everybody to connect to everybody"
	case everything:
		return "it allows every protocol and port"
	}
	return ""
}

// holdsAll tells whether a side is all there is. Sets that have fewer atoms
// together than there are cannot be: their union need not be made.
func (s *Space) holdsAll(x side, count []int) bool {
	sum := 0
	for _, set := range x.sets {
		sum += count[set]
	}
	return x.any || sum >= len(s.atoms) && s.atomsIn(x).count() == len(s.atoms)
}

func (s *Space) atomsIn(x side) bitset {
	out := newBits(len(s.atoms))
	if x.any {
		return out.not(len(s.atoms))
	}
	for _, set := range x.sets {
		out.or(s.members[set])
	}
	return out
}

// broad reports an allow that lets everybody to everybody, or every port.
func (l *linter) broad(i int, r *check.Rule) []Finding {
	x := &l.rules[i]
	if x.broad == "" || x.lets == nil {
		return nil
	}
	return []Finding{{Kind: Broad, Name: r.Name, At: r.At, Text: x.broad, Witness: x.lets}}
}
