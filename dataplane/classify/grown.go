package classify

import (
	"math"
	"slices"
)

// size is what of a table grows as identities come.
type size struct {
	classes int // that came after the link, or those of the link
	pairs   int // likewise; of the link, cells too
	words   int // of programs, shapes and lists
}

// What may come after the link, whatever its size: a small table is linked anew
// in no time, but need not be all the time.
const (
	leastClasses = 1 << 12
	leastPairs   = 1 << 16
	leastWords   = 1 << 18 // 1 MiB
)

// measure notes what the table was when it was made.
func (l *linking) measure() {
	l.base.words = l.words()
	for part := range l.src.parts {
		l.base.classes += l.src.parts[part].lists.len() + l.dst.parts[part].lists.len()
	}
	for i := range l.e.pairs {
		for j := range l.e.pairs[i] {
			l.base.pairs += len(l.e.pairs[i][j].cells)
		}
	}
	l.base.pairs += l.e.stats.Pairs
}

func (l *linking) words() int {
	p := l.programs
	return len(p.all.words) + len(p.pages.words) + len(p.dirs.words) + len(p.lists.words) + len(p.asked.words)
}

// worn tells whether as much came later as there was at first.
func (l *linking) worn() bool {
	var now size
	for part := range l.src.parts {
		now.classes += l.src.parts[part].len() + l.dst.parts[part].len()
	}
	for i := range l.more {
		for j := range l.more[i] {
			now.pairs += l.more[i][j].len()
		}
	}
	now.words = l.words() - l.base.words
	return now.classes > max(leastClasses, l.base.classes) || now.pairs > max(leastPairs, l.base.pairs) || now.words > max(leastWords, l.base.words)
}

// table returns the table with the identities there are now. It shares with
// earlier ones all that is the same.
func (l *linking) table(identities int) *table {
	l.appendPrograms()
	e, p := *l.e, l.programs
	e.src, e.dst, e.identities = l.src.at.Publish(), l.dst.at.Publish(), identities
	e.programs, e.pages, e.dirs, e.rules = slices.Clip(l.e.programs), slices.Clip(l.e.pages), slices.Clip(p.dirs.words), slices.Clip(p.lists.words)
	e.long = slices.Clip(l.e.long)
	e.pageBits, e.paged = p.pageBits, len(p.dirty) > 1 && !p.flat
	e.matrix = e.single && e.pairs[broad][broad].cells != nil
	e.one = e.matrix && !e.paged && e.long == nil
	e.stats.Shapes = len(p.made)
	for i := range l.more {
		for j := range l.more[i] {
			if m := &l.more[i][j]; m.index != nil && m.next > 0 {
				e.pairs[i][j].more = m.publish()
				e.stats.Pairs += m.len()
			}
		}
	}
	for part := range l.src.parts {
		e.stats.SourceClasses += l.src.parts[part].lists.len() + l.src.parts[part].len()
		e.stats.DestClasses += l.dst.parts[part].lists.len() + l.dst.parts[part].len()
	}
	if e.single { // the narrow part is one class, of nobody
		e.stats.SourceClasses--
		e.stats.DestClasses--
	}
	return &e
}

// appendPrograms adds the programs that came up, and their shapes. An engine reads
// those before: they are not touched.
func (l *linking) appendPrograms() {
	p := l.programs
	for n := len(l.e.programs); n < p.all.len(); n++ {
		l.e.programs = append(l.e.programs, p.program(uint32(n)))
	}
	have := max(len(l.e.pages), len(l.e.long))
	if !p.flat {
		l.appendPositions(p.pages.words[have:])
		return
	}
	for n := have / int(p.stride()); n < p.dirs.len(); n++ {
		l.appendPositions(p.rowOf(n))
	}
}

// appendPositions adds to the shapes. The first position that a byte is too small
// for makes them words, in an array of its own.
func (l *linking) appendPositions(positions []uint32) {
	if l.e.long == nil && slices.ContainsFunc(positions, func(p uint32) bool { return p > math.MaxUint8 }) {
		l.e.long = make([]uint32, 0, len(l.e.pages)+len(positions))
		for _, p := range l.e.pages {
			l.e.long = append(l.e.long, uint32(p))
		}
		l.e.pages = nil
	}
	if l.e.long != nil {
		l.e.long = append(l.e.long, positions...)
		return
	}
	for _, p := range positions {
		l.e.pages = append(l.e.pages, uint8(p))
	}
}
