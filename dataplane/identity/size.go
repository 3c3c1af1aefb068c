package identity

// The bytes of a node of the outside's table, and of the array of first pieces.
const (
	nodeBytes = 64
	wideBytes = 4 << 16
)

// OutsideBytes is how large the table of the outside networks is.
func (t *Table) OutsideBytes() int {
	if t.outside == nil {
		return 0
	}
	n := nodeBytes*len(t.outside.nodes) + 4*len(t.outside.blocks)
	if t.outside.wide != nil {
		n += wideBytes
	}
	return n
}

// OutsideTouches is how many cache lines of that table a look-up of an IPv4 address
// takes at the most.
func (t *Table) OutsideTouches() int {
	switch {
	case t.outside == nil:
		return 0
	case t.outside.wide == nil:
		return t.outside.depth(t.outside.root4)
	case t.outside.blocks != nil:
		return 3
	}
	deepest := 0
	for _, s := range t.outside.wide {
		deepest = max(deepest, t.outside.depth(s))
	}
	return 1 + deepest
}

// depth counts the nodes of a look-up from a step on, at the most.
func (p *prefixes) depth(s step) int {
	if s&answer != 0 {
		return 0
	}
	deepest, at := 0, s&nodeMask
	for i := range p.nodes[at : at+1<<(16-s>>shiftAt&31)] {
		for _, below := range p.nodes[int(at)+i].steps {
			if below != 0 { // a node may have fewer ranges
				deepest = max(deepest, p.depth(below))
			}
		}
	}
	return 1 + deepest
}
