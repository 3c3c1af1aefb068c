package classify

import (
	"math"
	"slices"

	"bulkhead/dataplane/policy"
)

// side is one end of the rules, sources or destinations, worked out for the
// identities there are.
type side struct {
	kinds   interner // sets that the same bundles name are one kind: its bundles
	kindOf  []uint32 // by set: its kind
	whole   interner // what identities are made of: distinct lists of kinds
	class   []uint32 // by identity: its list in whole
	breadth []uint32 // by kind: the lists in whole that have it
}

func newSide(sets int, sides [][]policy.SetID, identities [][]uint32) *side {
	s := &side{kindOf: make([]uint32, sets)}
	named := make([][]uint32, sets)
	for bundle, list := range sides {
		for _, set := range list {
			named[set] = append(named[set], uint32(bundle))
		}
	}
	s.kinds.number(nil) // kind 0 is named by no rule
	for set := range named {
		s.kindOf[set] = s.kinds.number(named[set])
	}
	s.whole.number(nil) // class 0 of either part is of who is named by no rule
	var buf []uint32
	for _, members := range identities {
		buf = s.kindsOf(buf[:0], members)
		s.class = append(s.class, s.whole.number(buf))
	}
	s.breadth = make([]uint32, s.kinds.len())
	for k := range s.whole.len() {
		for _, kind := range s.whole.list(uint32(k)) {
			s.breadth[kind]++
		}
	}
	return s
}

// kindsOf appends the kinds of sets, ascending, each once, kind 0 not at all.
func (s *side) kindsOf(out, sets []uint32) []uint32 {
	for _, set := range sets {
		if int(set) < len(s.kindOf) && s.kindOf[set] != 0 {
			out = append(out, s.kindOf[set])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// The two parts of a side.
const (
	broad = iota
	narrow
)

// split divides the kinds of a side by breadth: those that more than limit
// classes have are broad, the others narrow. An identity is then a broad class
// and a narrow one.
type split struct {
	limit   uint32
	classes [2]int      // of the broad part, of the narrow one
	reach   [2][]uint32 // by kind: the classes of either part that have it
	words   int         // bundles of all classes
}

const allNarrow, allBroad = math.MaxUint32, 0

// splits returns a split for each limit worth a try.
func (s *side) splits() []split {
	out := []split{s.splitAt(allBroad)}
	most := slices.Max(s.breadth)
	for limit := uint32(1); limit < most; limit *= 2 {
		out = append(out, s.splitAt(limit))
	}
	return append(out, s.splitAt(allNarrow))
}

func (s *side) splitAt(limit uint32) split {
	out := split{limit: limit}
	parts := s.parts(limit, nil)
	for part := range parts {
		out.classes[part] = parts[part].len()
		out.reach[part] = make([]uint32, s.kinds.len())
		for _, kind := range parts[part].words {
			out.reach[part][kind]++
			out.words += len(s.kinds.list(kind))
		}
	}
	return out
}

// place is where an identity stands on one side: its class of either part.
type place [2]uint32

// parts cuts what identities are made of in two, and tells each what its parts
// are.
func (s *side) parts(limit uint32, each func(place)) (parts [2]interner) {
	var cut [2][]uint32
	for k := range s.whole.len() {
		cut[broad], cut[narrow] = cut[broad][:0], cut[narrow][:0]
		for _, kind := range s.whole.list(uint32(k)) {
			part := narrow
			if s.breadth[kind] > limit {
				part = broad
			}
			cut[part] = append(cut[part], kind)
		}
		at := place{parts[broad].number(cut[broad]), parts[narrow].number(cut[narrow])}
		if each != nil {
			each(at)
		}
	}
	return parts
}

// places numbers the classes of a split: identities that the same bundles name
// are one. It tells each identity's place, and returns the bundles of each class.
func (s *side) places(limit uint32, each func(identity uint32, at place)) (lists [2]*interner) {
	var whole []place
	parts := s.parts(limit, func(p place) { whole = append(whole, p) })
	var of [2][]uint32
	for part := range parts {
		lists[part], of[part] = s.named(&parts[part])
	}
	for id, k := range s.class {
		each(uint32(id), place{of[broad][whole[k][broad]], of[narrow][whole[k][narrow]]})
	}
	return lists
}

// named turns lists of kinds into lists of bundles; several may become one.
func (s *side) named(kinds *interner) (lists *interner, of []uint32) {
	lists = &interner{}
	var buf []uint32
	for k := range kinds.len() {
		buf = s.bundlesOf(buf[:0], kinds.list(uint32(k)))
		of = append(of, lists.number(buf))
	}
	return lists, of
}

// bundlesOf appends the bundles that name one of several kinds, ascending.
func (s *side) bundlesOf(out, kinds []uint32) []uint32 {
	for _, kind := range kinds {
		out = append(out, s.kinds.list(kind)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
