package classify

import "fmt"

// maxPairs bounds the pair matrix: 64 MiB.
const maxPairs = 1 << 24

// pairTable gives the program of a pair of classes: a dense matrix.
type pairTable struct {
	cells []uint32
	width uint32
}

func newPairTable(sources, dests int) (pairTable, error) {
	if sources*dests > maxPairs {
		return pairTable{}, fmt.Errorf("%d source classes x %d destination classes are more than the %d pairs there is memory for: fewer services that rules tell apart, or fewer identities on one host",
			sources, dests, maxPairs)
	}
	return pairTable{cells: make([]uint32, sources*dests), width: uint32(dests)}, nil
}

func (t *pairTable) program(src, dst uint32) uint32 { return t.cells[src*t.width+dst] }

func (t *pairTable) set(src, dst int, program uint32) { t.cells[src*int(t.width)+dst] = program }
