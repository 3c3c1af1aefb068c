package classify

import (
	"encoding/binary"
	"fmt"
	"slices"

	"bulkhead/dataplane/policy"
)

// Link works a policy out for the identities there are: sets has, by
// identity.ID, the policy sets of each, sorted; identity 0 has none. It fails
// if the tables would not fit in their budget.
func Link(rs *policy.Ruleset, sets [][]uint32) (*Engine, error) {
	l := &linking{rs: rs, e: &Engine{}, programs: map[string]uint32{}, shapes: map[string]uint32{}}
	ports, number := distinctPorts(rs)
	l.e.ports, l.named = buildPorts(ports)
	l.number = number
	for i := range rs.Rules {
		l.e.verdicts = append(l.e.verdicts, rs.Rules[i].Verdict)
	}
	var sources, dests [][]uint32
	l.e.src, sources = classes(rs, sets, func(r *policy.Rule) []policy.SetID { return r.From })
	l.e.dst, dests = classes(rs, sets, func(r *policy.Rule) []policy.SetID { return r.To })
	l.e.sources, l.e.dests = len(sources), len(dests)
	return l.e, l.pairUp(sources, dests)
}

type linking struct {
	rs       *policy.Ruleset
	e        *Engine
	named    [][]uint32 // by distinct port: the port classes it names
	number   map[policy.Port]int
	programs map[string]uint32 // by list of rules
	shapes   map[string]uint32 // by row
	row      []uint16
}

// classes puts identities that the same rules name into one class. It returns
// the class of each identity, and the rules of each class in order.
func classes(rs *policy.Ruleset, sets [][]uint32, side func(*policy.Rule) []policy.SetID) ([]uint32, [][]uint32) {
	bySet := make([][]uint32, len(rs.Sets))
	for r := range rs.Rules {
		for _, s := range side(&rs.Rules[r]) {
			bySet[s] = append(bySet[s], uint32(r))
		}
	}
	class := make([]uint32, len(sets))
	known := map[string]uint32{}
	var lists [][]uint32
	for id, members := range sets {
		list := unite(bySet, members)
		key := keyOf(list)
		c, have := known[key]
		if !have {
			c = uint32(len(lists))
			known[key] = c
			lists = append(lists, list)
		}
		class[id] = c
	}
	return class, lists
}

// unite merges the rule lists of an identity's sets: sorted, each rule once.
func unite(bySet [][]uint32, members []uint32) []uint32 {
	var list []uint32
	for _, s := range members {
		if int(s) < len(bySet) {
			list = append(list, bySet[s]...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func keyOf(list []uint32) string {
	key := make([]byte, 0, 4*len(list))
	for _, r := range list {
		key = binary.LittleEndian.AppendUint32(key, r)
	}
	return string(key)
}

// pairUp makes the program of every pair of classes.
func (l *linking) pairUp(sources, dests [][]uint32) error {
	var err error
	if l.e.pairs, err = newPairTable(len(sources), len(dests)); err != nil {
		return err
	}
	l.row = make([]uint16, l.e.ports.classes)
	var both []uint32
	for s := range sources {
		for d := range dests {
			both = intersect(both[:0], sources[s], dests[d])
			p, err := l.program(both)
			if err != nil {
				return err
			}
			l.e.pairs.set(s, d, p)
		}
	}
	l.e.shapeCount = len(l.shapes)
	return nil
}

// intersect appends what two sorted lists share.
func intersect(out, a, b []uint32) []uint32 {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			out = append(out, a[0])
			a, b = a[1:], b[1:]
		case a[0] < b[0]:
			a = skip(a, b[0])
		default:
			b = skip(b, a[0])
		}
	}
	return out
}

// skip drops what is below least from a sorted list, in growing strides: a
// short list against a long one costs about what the short one is long.
func skip(list []uint32, least uint32) []uint32 {
	stride := 1
	for stride < len(list) && list[stride] < least {
		stride *= 2
	}
	from := stride / 2
	at, _ := slices.BinarySearch(list[from:min(stride, len(list))], least)
	return list[from+at:]
}

// program makes the program of a list of rules, or finds it.
func (l *linking) program(list []uint32) (uint32, error) {
	key := keyOf(list)
	if p, have := l.programs[key]; have {
		return p, nil
	}
	clear(l.row)
	base := len(l.e.rules)
	for _, r := range list {
		position := len(l.e.rules) - base + 1
		if position > 65535 {
			return 0, fmt.Errorf("more than 65,535 rules are left between two services; the first is %q", l.rs.Rules[list[0]].Name)
		}
		if l.claim(r, uint16(position)) {
			l.e.rules = append(l.e.rules, r)
		}
	}
	p := uint32(len(l.e.programs))
	l.e.programs = append(l.e.programs, program{shape: l.shape(), base: uint32(base)})
	l.programs[key] = p
	return p, nil
}

// claim gives a rule the port classes that no earlier rule has; it says
// whether there were any. A rule without is covered, and takes no place.
func (l *linking) claim(rule uint32, position uint16) (claimed bool) {
	for _, port := range l.rs.Rules[rule].Ports {
		for _, c := range l.named[l.number[port]] {
			if l.row[c] == 0 {
				l.row[c] = position
				claimed = true
			}
		}
	}
	return claimed
}

// shape keeps the row, or finds it among those kept.
func (l *linking) shape() uint32 {
	key := make([]byte, 0, 2*len(l.row))
	for _, v := range l.row {
		key = binary.LittleEndian.AppendUint16(key, v)
	}
	at, have := l.shapes[string(key)]
	if !have {
		at = uint32(len(l.e.shapes))
		l.shapes[string(key)] = at
		l.e.shapes = append(l.e.shapes, l.row...)
	}
	return at
}
