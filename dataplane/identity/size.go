package identity

// The bytes of a step of the trie.
const trieNodeBytes = 2 * 16 * 4

// OutsideBytes is how large the table of the outside networks is.
func (t *Table) OutsideBytes() int {
	if t.outside == nil {
		return 0
	}
	return trieNodeBytes * len(t.outside.nodes)
}

// OutsideTouches is how many steps of that table a look-up of an IPv4 address
// takes at the most, each one or two cache lines: as many as its trie is deep.
func (t *Table) OutsideTouches() int {
	if t.outside == nil {
		return 0
	}
	return t.outside.depth(0)
}

// depth counts the steps below a node, and its own; the trie is as deep as an
// address has nibbles.
func (p *prefixes) depth(node uint32) int {
	deepest := 0
	for _, child := range p.nodes[node].child {
		if child != 0 {
			deepest = max(deepest, p.depth(child))
		}
	}
	return 1 + deepest
}
