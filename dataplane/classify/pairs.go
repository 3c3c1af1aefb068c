package classify

// pairTable gives the program of a pair of classes: as a matrix where most
// pairs have one, else as a table of those that do.
type pairTable struct {
	cells  []uint32 // of a matrix, a row for each source
	width  uint32   // of a row
	below  uint32   // of a matrix: later, since its classes are below; else 0
	sparse sparse
	more   *more // the pairs with a class that came later; nil: there is none
}

// program is small enough for a lookup to have it inlined, up to the cell. What is
// sparse costs a call, for which its look-up stands below and not with sparse; what
// came later costs one more (BenchmarkDecide).
func (t *pairTable) program(src, dst uint32) uint32 {
	if src|dst < t.below {
		return t.cells[src*t.width+dst]
	}
	return t.notInCells(src, dst)
}

func (t *pairTable) notInCells(src, dst uint32) uint32 {
	if src|dst >= later {
		return t.more.program(src, dst)
	}
	one, other := t.sparse.homes(src, dst)
	if p := t.sparse.buckets[one].program(src, dst); p != 0 {
		return p
	}
	return t.sparse.buckets[other].program(src, dst)
}

func (t *pairTable) bytes() int { return 4*len(t.cells) + 64*len(t.sparse.buckets) + t.more.bytes() }
