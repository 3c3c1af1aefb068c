package classify

// pairTable gives the program of a pair of classes: as a matrix where most
// pairs have one, else as a table of those that do.
type pairTable struct {
	cells  []uint32 // of a matrix, a row for each source: numbers of programs; nil: it is sparse
	width  uint32   // of a row
	sparse sparse
	more   *more // the pairs with a class that came later; nil: there is none
}

// program returns the program of two classes, of which joined holds, or of which one
// came later.
func (t *pairTable) program(programs []program, src, dst uint32) program {
	switch {
	case (src|dst)&later != 0:
		return programs[t.more.program(src&classMask, dst&classMask)]
	case t.cells != nil:
		return programs[t.cell(src, dst)]
	}
	return t.sparse.program(src&classMask, dst&classMask)
}

// cell is the number of a program in a matrix.
func (t *pairTable) cell(src, dst uint32) uint32 {
	return t.cells[src&classMask*t.width+dst&classMask]
}

func (t *pairTable) bytes() int { return 4*len(t.cells) + 64*len(t.sparse.buckets) + t.more.bytes() }

// tables of pairs, by parts: the bit of each in a place.
func tableOf(s, d int) int { return 2*s + d }

// What an identity's place has of a class, beside its number: a bit for each table
// in which the class is in a pair of the link's. Most are in none of some table, and
// then nobody need look there.
const (
	joinBits  = 27 // from here on, one a table
	classMask = later | 1<<joinBits - 1
)

// joined returns the tables that may have a pair of two identities' classes, a bit
// each: of the pairs of the link, for classes that came later have no bits.
func joined(from, to *place) uint32 {
	return (from[broad] | from[narrow]) & (to[broad] | to[narrow]) >> joinBits & 15
}
