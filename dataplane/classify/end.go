package classify

import (
	"encoding/binary"
	"slices"

	"bulkhead/dataplane/internal/paged"
)

// end is one end of a table, sources or destinations, with the classes of its
// identities: those of the link, and those that came later.
type end struct {
	side  *side
	limit uint32 // the split of the link: it stays, whatever comes
	at    paged.VectorEditor[place]
	parts [2]classes
}

func newEnd(s *side, limit uint32, bundles int) *end {
	e := &end{side: s, limit: limit}
	lists := s.places(limit, func(id uint32, at place) { *e.at.Edit(id) = at })
	for part := range lists {
		e.parts[part] = newClasses(lists[part], bundles)
	}
	s.whole, s.class = interner{}, nil // what the link needed
	return e
}

// join tells every identity in its place what its classes are in a pair with. The
// pairs of the link must be made.
func (e *end) join(identities int) {
	for id := range uint32(identities) {
		at := e.at.Edit(id)
		for part := range at {
			at[part] = e.parts[part].placed(at[part])
		}
	}
}

// partsOf returns the bundles of either part of an identity. A kind that nobody
// had when the table was linked is narrow, as it was rare; with everything broad
// it is broad, for nobody looks at the other tables.
func (e *end) partsOf(sets []uint32) (lists [2][]uint32) {
	var kinds [2][]uint32
	for _, kind := range e.side.kindsOf(nil, sets) {
		part := narrow
		if e.limit == allBroad || e.side.breadth[kind] > e.limit {
			part = broad
		}
		kinds[part] = append(kinds[part], kind)
	}
	for part := range kinds {
		lists[part] = e.side.bundlesOf(nil, kinds[part])
	}
	return lists
}

// later is the bit that tells the number of a class that came after the link from
// those of the link, of which there are fewer: each is of a list in memory.
const later = 1 << 31

// classes are the classes of one part of an end, each a list of bundles. Those
// of the link stay for good. A later one is there as long as an identity has it;
// then its number is free.
type classes struct {
	lists *interner // of the link: numbers from 0
	named inverse   // of these
	joins []uint32  // by class of the link: its bits in places

	came     []laterClass // numbers from later on
	known    map[string]uint32
	byBundle map[uint32][]uint32 // the later ones that have a bundle
	free     []uint32
}

type laterClass struct {
	list []uint32
	uses int
}

func newClasses(lists *interner, bundles int) classes {
	return classes{lists: lists, named: newInverse(lists, bundles), joins: make([]uint32, lists.len()), known: map[string]uint32{}, byBundle: map[uint32][]uint32{}}
}

// joinTo notes that a class of the link is in a pair of a table.
func (c *classes) joinTo(n uint32, table int) { c.joins[n] |= 1 << (joinBits + table) }

// placed is what a place has of a class.
func (c *classes) placed(n uint32) uint32 {
	if n >= later {
		return n
	}
	return n | c.joins[n]
}

// number returns the number of a class; fresh if nobody had it. It then is to be
// added, when its pairs have been.
func (c *classes) number(list []uint32) (n uint32, fresh bool) {
	if n, found := c.lists.find(list); found {
		return n, false
	}
	if n, found := c.known[keyOf(list)]; found {
		return n, false
	}
	if last := len(c.free); last > 0 {
		return c.free[last-1], true
	}
	return later | uint32(len(c.came)), true
}

func keyOf(list []uint32) string {
	key := make([]byte, 0, 4*len(list))
	for _, n := range list {
		key = binary.LittleEndian.AppendUint32(key, n)
	}
	return string(key)
}

// isLater returns what is kept of a later class, nil of one of the link's.
func (c *classes) isLater(n uint32) *laterClass {
	if n < later {
		return nil
	}
	return &c.came[n-later]
}

func (c *classes) add(n uint32, list []uint32) {
	if last := len(c.free); last > 0 && c.free[last-1] == n {
		c.free = c.free[:last-1]
	} else {
		c.came = append(c.came, laterClass{})
	}
	c.isLater(n).list = list
	c.known[keyOf(list)] = n
	for _, bundle := range list {
		c.byBundle[bundle] = append(c.byBundle[bundle], n)
	}
}

func (c *classes) remove(n uint32) {
	gone := c.isLater(n)
	delete(c.known, keyOf(gone.list))
	for _, bundle := range gone.list {
		others := c.byBundle[bundle]
		at := slices.Index(others, n)
		others[at] = others[len(others)-1]
		if c.byBundle[bundle] = others[:len(others)-1]; len(others) == 1 {
			delete(c.byBundle, bundle)
		}
	}
	*gone = laterClass{}
	c.free = append(c.free, n)
}

// len is the number of later classes.
func (c *classes) len() int { return len(c.came) - len(c.free) }

// sharing appends the classes that have a bundle of a list, each with each
// bundle, as class << 32 | bundle, ascending.
func (c *classes) sharing(out []uint64, list []uint32) []uint64 {
	for _, bundle := range list {
		for _, n := range c.named.of(bundle) {
			out = append(out, uint64(n)<<32|uint64(bundle))
		}
		for _, n := range c.byBundle[bundle] {
			out = append(out, uint64(n)<<32|uint64(bundle))
		}
	}
	slices.Sort(out)
	return out
}

// inverse is the classes that have each bundle.
type inverse struct {
	starts  []uint32 // by bundle, and one more
	classes []uint32
}

func newInverse(lists *interner, bundles int) inverse {
	x := inverse{starts: make([]uint32, bundles+1), classes: make([]uint32, len(lists.words))}
	for _, bundle := range lists.words {
		x.starts[bundle+1]++
	}
	for bundle := range bundles {
		x.starts[bundle+1] += x.starts[bundle]
	}
	next := slices.Clone(x.starts)
	for c := range lists.len() {
		for _, bundle := range lists.list(uint32(c)) {
			x.classes[next[bundle]] = uint32(c)
			next[bundle]++
		}
	}
	return x
}

func (x *inverse) of(bundle uint32) []uint32 {
	return x.classes[x.starts[bundle]:x.starts[bundle+1]]
}
