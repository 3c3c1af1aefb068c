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
	keys   map[string]*filing // by the key of a label
	always []filed            // alternatives that need no label
	atoms  []Atom             // by address, short before long
	around []int32            // by atom: the one around it, or -1
}

// label is a key and a value.
type label struct{ key, value string }

// filing is the alternatives that need a label of one key. Most labels of most
// endpoints are of keys that no service knows: that is one look-up.
type filing struct {
	equal map[string][]filed // of this value
	any   []filed            // of any value
}

// filed is an alternative of a service.
type filed struct {
	set  SetID
	must Requirements
}

// NewIndex indexes a valid ruleset.
func NewIndex(rs *Ruleset) *Index {
	x := &Index{rs: rs, keys: map[string]*filing{}}
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
		at := x.filing(f.must[best].Key)
		at.any = append(at.any, f)
	default:
		at := x.filing(f.must[best].Key)
		for _, value := range f.must[best].Values {
			at.equal[value] = append(at.equal[value], f)
		}
	}
}

func (x *Index) filing(key string) *filing {
	at, known := x.keys[key]
	if !known {
		at = &filing{equal: map[string][]filed{}}
		x.keys[key] = at
	}
	return at
}

// ServicesOf is Ruleset.ServicesOf.
func (x *Index) ServicesOf(labels map[string]string) []SetID {
	return x.AppendServicesOf(nil, labels)
}

// AppendServicesOf appends to a list, which may be in use again and again, what
// ServicesOf returns.
func (x *Index) AppendServicesOf(out []SetID, labels map[string]string) []SetID {
	first := len(out)
	out = appendMet(append(out, Any), x.always, labels)
	for key, value := range labels {
		if at, known := x.keys[key]; known {
			out = appendMet(out, at.equal[value], labels)
			out = appendMet(out, at.any, labels)
		}
	}
	slices.Sort(out[first:])
	return out[:first+len(slices.Compact(out[first:]))]
}

// appendMet appends the sets of the alternatives that labels meet.
func appendMet(out []SetID, list []filed, labels map[string]string) []SetID {
	for i := range list {
		if list[i].must.Met(labels) {
			out = append(out, list[i].set)
		}
	}
	return out
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
func (x *Index) NetworksOf(a netip.Addr) []SetID { return x.NetworksAt(x.Around(a)) }

// Around returns the number of the least prefix around an address within which
// NetworksOf is the same but for longer ones: NetworksAt says what that is.
// Addresses of one number are of the same networks. It is -1 if there is none.
func (x *Index) Around(a netip.Addr) int32 {
	if !a.IsValid() || a.Is4In6() {
		return -1
	}
	after, _ := slices.BinarySearchFunc(x.atoms, a, func(atom Atom, a netip.Addr) int {
		if atom.Prefix.Addr().Compare(a) <= 0 {
			return -1
		}
		return 1
	})
	return x.climb(int32(after)-1, a)
}

// NetworksAt returns the networks, and Any, of the addresses of which Around returns
// a number.
func (x *Index) NetworksAt(around int32) []SetID {
	if around < 0 {
		return []SetID{Any}
	}
	sets := slices.Clone(x.atoms[around].Sets)
	if last := len(sets) - 1; x.rs.Sets[sets[last]].Kind == KindOutside {
		sets = sets[:last]
	}
	return sets
}
