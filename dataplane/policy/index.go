package policy

import (
	"net/netip"
	"slices"
)

// Index finds the sets of an endpoint without asking every set: what
// ServicesOf, NetworksOf and OutsideOf of its Ruleset answer, in time that follows the
// answer. With 10,000 services an endpoint's are found among the few that share
// a label with it.
//
// Services: each alternative of a selector is filed under one of its
// requirements, the rarest one that needs a label to be there: only endpoints
// with that label can meet it. An alternative of absences alone is filed under
// none and asked of everybody. Networks: prefixes are nested or apart, so those
// around an address are a chain that begins at the one before it in order.
//
// An Index is immutable; any goroutine may ask it. Its Ruleset must not change.
type Index struct {
	rs     *Ruleset
	equal  map[label][]filed  // alternatives that need this value
	exists map[string][]filed // that need this label, of any value
	always []filed            // that need none
	atoms  []Atom             // by address, short before long
	around []int32            // by atom: the one around it, or -1
}

// label is a key and a value.
type label struct{ key, value string }

// filed is an alternative of a service.
type filed struct {
	set  SetID
	must Requirements
}

// NewIndex indexes a valid ruleset.
func NewIndex(rs *Ruleset) *Index {
	x := &Index{rs: rs, equal: map[label][]filed{}, exists: map[string][]filed{}}
	common := x.census()
	for i := range rs.Sets {
		for _, must := range rs.Sets[i].Selector {
			x.file(filed{SetID(i), must}, common)
		}
	}
	x.nest()
	return x
}

// Rules returns the ruleset that is indexed; of no index none.
func (x *Index) Rules() *Ruleset {
	if x == nil {
		return nil
	}
	return x.rs
}

// census counts the alternatives that each label could be the key to.
func (x *Index) census() map[label]int {
	common := map[label]int{}
	for i := range x.rs.Sets {
		for _, must := range x.rs.Sets[i].Selector {
			for j := range must {
				for _, l := range must[j].needs() {
					common[l]++
				}
			}
		}
	}
	return common
}

// anyValue stands for every value of a label: no requirement has it, for a
// census only.
const anyValue = "\x00any"

// needs returns the labels of which an endpoint needs one to meet a
// requirement; none if it is met without any.
func (r *Requirement) needs() []label {
	switch r.Op {
	case OpIn:
		out := make([]label, len(r.Values))
		for i, v := range r.Values {
			out[i] = label{r.Key, v}
		}
		return out
	case OpExists:
		return []label{{r.Key, anyValue}}
	}
	return nil
}

// file puts an alternative under its rarest requirement.
func (x *Index) file(f filed, common map[label]int) {
	best, least := -1, 0
	for j := range f.must {
		needs := f.must[j].needs()
		n := 0
		for _, l := range needs {
			n += common[l]
		}
		if len(needs) > 0 && (best < 0 || n < least) {
			best, least = j, n
		}
	}
	switch {
	case len(f.must) == 0: // met by nothing
	case best < 0:
		x.always = append(x.always, f)
	case f.must[best].Op == OpExists:
		key := f.must[best].Key
		x.exists[key] = append(x.exists[key], f)
	default:
		for _, l := range f.must[best].needs() {
			x.equal[l] = append(x.equal[l], f)
		}
	}
}

// ServicesOf is Ruleset.ServicesOf.
func (x *Index) ServicesOf(labels map[string]string) []SetID {
	sets := []SetID{Any}
	add := func(list []filed) {
		for i := range list {
			if list[i].must.Met(labels) {
				sets = append(sets, list[i].set)
			}
		}
	}
	add(x.always)
	for key, value := range labels {
		add(x.equal[label{key, value}])
		add(x.exists[key])
	}
	slices.Sort(sets)
	return slices.Compact(sets)
}

// nest sorts the atoms by address and finds the one around each.
func (x *Index) nest() {
	x.atoms = x.rs.Atoms()
	slices.SortFunc(x.atoms, func(a, b Atom) int { return comparePrefix(a.Prefix, b.Prefix) })
	x.around = make([]int32, len(x.atoms))
	for i := range x.atoms {
		x.around[i] = x.climb(int32(i)-1, x.atoms[i].Prefix.Addr())
	}
}

// climb goes from an atom outwards to the first that has an address.
func (x *Index) climb(i int32, a netip.Addr) int32 {
	for i >= 0 && !x.atoms[i].Prefix.Contains(a) {
		i = x.around[i]
	}
	return i
}

// OutsideOf is Ruleset.OutsideOf.
func (x *Index) OutsideOf(a netip.Addr) []SetID {
	return x.rs.withOutside(x.NetworksOf(a), a)
}

// NetworksOf is Ruleset.NetworksOf. The atoms are those of addresses that nobody
// has, so Outside, which is the last of their sets, is taken off.
func (x *Index) NetworksOf(a netip.Addr) []SetID {
	if !a.IsValid() || a.Is4In6() {
		return []SetID{Any}
	}
	after, _ := slices.BinarySearchFunc(x.atoms, a, func(atom Atom, a netip.Addr) int {
		if atom.Prefix.Addr().Compare(a) <= 0 {
			return -1
		}
		return 1
	})
	if i := x.climb(int32(after)-1, a); i >= 0 {
		sets := slices.Clone(x.atoms[i].Sets)
		if last := len(sets) - 1; x.rs.Sets[sets[last]].Kind == KindOutside {
			sets = sets[:last]
		}
		return sets
	}
	return []SetID{Any}
}
