package identity

// The bytes of a node of the trie, and of its wide root.
const (
	trieNodeBytes = 16 * 4
	wideBytes     = 4 << 16
)

// OutsideBytes is how large the table of the outside networks is.
func (t *Table) OutsideBytes() int {
	if t.outside == nil {
		return 0
	}
	n := trieNodeBytes * len(t.outside.nodes)
	if t.outside.wide != nil {
		n += wideBytes
	}
	return n
}

// OutsideTouches is how many steps of that table a look-up of an IPv4 address
// takes at the most, each a cache line: as many as its trie is deep, less the
// steps that a wide root has in one.
func (t *Table) OutsideTouches() int {
	if t.outside == nil {
		return 0
	}
	deep := t.outside.depth(root4)
	if t.outside.wide != nil {
		return max(1, deep-3)
	}
	return deep
}

// depth counts the steps below a node, and its own; the trie is as deep as an
// address has nibbles.
func (p *prefixes) depth(node step) int {
	deepest := 0
	for _, s := range p.nodes[node] {
		if s-1 < answer-1 {
			deepest = max(deepest, p.depth(s))
		}
	}
	return 1 + deepest
}
