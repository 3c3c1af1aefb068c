package classify

// pairTable gives the program of a pair of classes: as a matrix where most
// pairs have one, else as a table of those that do.
type pairTable struct {
	cells  []uint32 // of a matrix; nil if sparse
	width  uint32
	sparse sparse

	sources, dests uint32 // the classes that it was made of
	more           more   // the pairs with a class that came later
}

func (t *pairTable) program(src, dst uint32) uint32 {
	if src >= t.sources || dst >= t.dests {
		return t.more.program(src, dst)
	}
	if t.cells != nil {
		return t.cells[src*t.width+dst]
	}
	return t.sparse.program(src, dst)
}

func (t *pairTable) bytes() int { return 4*len(t.cells) + 64*len(t.sparse.buckets) + t.more.bytes() }
