package classify

import (
	"fmt"
	"math/bits"

	"bulkhead/dataplane/policy"
)

const (
	maxPrograms = 1 << 24 // 128 MiB
	maxPages    = 1 << 25 // words of shapes' pages, and of their directories: 128 MiB each
	maxLists    = 1 << 26 // words of programs' lists of rules: 256 MiB
)

// program is what a pair of classes is left with: a shape, which says for each
// port class what position of the list matches first, and the list's base. The
// shape is where its directory begins; of a single page, where that begins. The
// base is one before the list, for positions count from one; or straight and the
// list's first rule.
type program uint64

// noProgram has no rules: its shape is zero throughout.
const noProgram program = 0

// straight marks a base that is a rule: the list is this one and those after it. A
// list of one rule always is, and most are; its look-up is a line less.
const straight = 1 << 31

func newProgram(shape, base uint32) program { return program(shape)<<32 | program(base) }

func (p program) shape() uint32 { return uint32(p >> 32) }
func (p program) base() uint32  { return uint32(p) }

// programs keeps every distinct program once, and of their parts every one.
type programs struct {
	rs      *policy.Ruleset
	names   []uint32 // by rule: what it is called outside of the stage
	bundles *bundles
	ports   *portLists

	pageBits uint32
	flat     bool     // every shape is a row, see settle
	all      interner // programs: shape and base; 0 is the one without rules
	lists    interner // the rules of programs
	pages    interner // of 1<<pageBits port classes: position + 1, or 0
	dirs     interner // of a shape's pages

	asked             interner // lists of port lists that a shape was asked for
	made              []asked  // by number in asked
	seen              []uint32 // by port list: the program it was last met in
	round             uint32   // counts programs
	row               []uint32 // by port class: the shape being made
	dirty             []bool   // by page: row is not all zero there
	rules, list, keys []uint32
}

// asked is the answer to a list of port lists.
type asked struct {
	shape uint32
	kept  []uint32 // positions in the list that match somewhere first
}

func newPrograms(rs *policy.Ruleset, names []uint32, b *bundles, ports *portLists) *programs {
	p := &programs{rs: rs, names: names, bundles: b, ports: ports}
	p.pageBits = pageBitsFor(ports.table.classes)
	pages := (ports.table.classes + 1<<p.pageBits - 1) >> p.pageBits
	p.row, p.dirty = make([]uint32, pages<<p.pageBits), make([]bool, pages)
	p.seen = make([]uint32, len(ports.lists))
	p.pages.number(p.row[:1<<p.pageBits]) // page 0: nothing matches
	p.lists.number([]uint32{noRule})      // so that no list begins at 0, and each has one before
	p.of(nil)
	return p
}

// of makes the program of what several bundles leave, or finds it.
func (p *programs) of(several []uint32) uint32 {
	p.rules = p.bundles.merged(p.rules[:0], several)
	p.distinct()
	n := p.asked.number(p.keys)
	if int(n) == len(p.made) {
		p.made = append(p.made, p.shape())
	}
	a := &p.made[n]
	p.keys = p.keys[:0]
	for _, at := range a.kept {
		p.keys = append(p.keys, p.names[p.list[at]])
	}
	return p.all.number([]uint32{a.shape, p.baseOf(p.keys)})
}

// baseOf returns the base of a list of rules.
func (p *programs) baseOf(list []uint32) uint32 {
	for i, rule := range list {
		if rule != list[0]+uint32(i) {
			return uint32(p.lists.start(p.lists.number(list))) - 1
		}
	}
	if len(list) == 0 {
		return 0 // noProgram
	}
	return straight | list[0]
}

// program returns a program by its number, as lookups read it.
func (p *programs) program(n uint32) program {
	parts := p.all.list(n)
	if p.flat {
		return newProgram(parts[0]/uint32(len(p.dirty))*p.stride(), parts[1])
	}
	return newProgram(parts[0], parts[1])
}

// settle decides, when all that is linked at first is there, whether shapes are
// rows of all port classes: a load less than pages behind a directory, and as
// small, if few pages are the same.
func (p *programs) settle() {
	paged := len(p.pages.words) + 4*len(p.dirs.words)
	p.flat = len(p.dirty) > 1 && p.dirs.len()*int(p.stride()) <= 2*paged
}

// stride is the length of a row, in whole cache lines.
func (p *programs) stride() uint32 { return (p.ports.table.classes + 63) &^ 63 }

// rowOf returns what shape number n says of all port classes.
func (p *programs) rowOf(n int) (row []uint32) {
	for _, page := range p.dirs.list(uint32(n)) {
		row = append(row, p.pages.list(page)...)
	}
	return row[:p.stride()]
}

// distinct leaves of the rules those whose ports no earlier one has, as list,
// and their lists of ports, as keys.
func (p *programs) distinct() {
	p.round++
	p.list, p.keys = p.list[:0], p.keys[:0]
	for _, r := range p.rules {
		ports := p.ports.of[r]
		if p.seen[ports] == p.round {
			continue
		}
		p.seen[ports] = p.round
		p.list, p.keys = append(p.list, r), append(p.keys, ports)
		if p.ports.total[ports] {
			return
		}
	}
}

// shape works out the shape of keys, and which of them it keeps: the others
// are covered by earlier ones.
func (p *programs) shape() asked {
	var out asked
	left := p.ports.table.classes
	for at, ports := range p.keys {
		if left == 0 {
			break
		}
		if taken := p.claim(ports, uint32(len(out.kept)+1)); taken > 0 {
			left -= taken
			out.kept = append(out.kept, uint32(at))
		}
	}
	out.shape = p.keep()
	return out
}

// claim gives a list of ports the classes that no earlier one has, and returns
// how many there were.
func (p *programs) claim(ports, position uint32) (taken uint32) {
	for _, run := range p.ports.runs[ports] {
		before := taken
		for c := run.lo; c < run.hi; c++ {
			if p.row[c] == 0 {
				p.row[c] = position
				taken++
			}
		}
		if taken == before {
			continue
		}
		for page := run.lo >> p.pageBits; page <= (run.hi-1)>>p.pageBits; page++ {
			p.dirty[page] = true
		}
	}
	return taken
}

// keep keeps the row, or finds it among those kept, and clears it.
func (p *programs) keep() uint32 {
	dir := make([]uint32, len(p.dirty))
	for i, dirty := range p.dirty {
		if !dirty {
			continue
		}
		page := p.row[i<<p.pageBits : (i+1)<<p.pageBits]
		dir[i] = p.pages.number(page)
		clear(page)
		p.dirty[i] = false
	}
	if len(dir) == 1 {
		return dir[0] << p.pageBits
	}
	return uint32(p.dirs.start(p.dirs.number(dir)))
}

// fits tells whether everything is within its bounds.
func (p *programs) fits() error {
	for _, part := range []struct {
		what      string
		have, max int
	}{
		{"programs", p.all.len(), maxPrograms},
		{"words of shapes", len(p.pages.words), maxPages},
		{"words of shapes' directories", len(p.dirs.words), maxPages},
		{"rules in programs", len(p.lists.words), maxLists},
		{"lists of ports in programs", len(p.asked.words), maxLists},
	} {
		if part.have > part.max {
			return fmt.Errorf("more than %d %s: fewer different lists of ports, or fewer rules between the same services; the last to be added is %q",
				part.max, part.what, p.rs.Rules[p.rules[0]].Name)
		}
	}
	return nil
}

// pageBitsFor returns how many port classes a page has, as a power of two. All
// of them, where they are few: then there is no directory. Where they are many
// a shape is mostly a directory, and larger pages make that smaller.
func pageBitsFor(classes uint32) uint32 {
	n := uint32(bits.Len32(max(1, classes) - 1))
	return min(n, max(8, n*5/8))
}
