package source

import (
	"bytes"

	"github.com/BurntSushi/toml"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/syntax"
)

// The head of a text is what stands before the first cut: in a large policy ten
// thousand services, which are written alike, as rules are. Their tables stand
// each by itself where
//
//   - each is opened by a header of two names, [services.web], of which the second
//     is bare, and no other statement has services or networks in its key: then no
//     table is opened by two headers but by the same one twice, which the tree
//     knows.
//
// So one of each shape is decoded, with all that is neither, and the others are
// taken from the text. A head where that does not hold is decoded whole.

// tables are the names of what such headers open.
var tables = [2]string{"services", "networks"}

// readHead reads what stands before an offset; nil: the text must be read whole.
func readHead(src *diag.Source, to int) *node {
	var all syntax.Pool
	tree, bad := all.Scan(src, 0, to)
	if bad != nil {
		return nil
	}
	var doubles diag.List
	root := build(tree, &doubles)
	if len(doubles.All) > 0 || root.get(lists[0]) != nil || root.get(lists[1]) != nil {
		return nil
	}
	text := src.Text[:to]
	taken := map[*node]bool{}
	if tablesStandAlone(tree) {
		text = takeTables(src.Text[:to], tree, root, taken)
	}
	decoded := map[string]any{}
	if _, err := toml.NewDecoder(bytes.NewReader(text)).Decode(&decoded); err != nil || !root.fillBut(decoded, taken) {
		return nil
	}
	return root
}

// tablesStandAlone tells whether no statement opens or fills a table of services
// or networks but their own headers.
func tablesStandAlone(tree *syntax.Tree) bool {
	header := false
	for i := range tree.Statements {
		st := &tree.Statements[i]
		header = header || st.Kind != syntax.Pair
		if ofTables(&st.Key[0]) && !(header && st.Kind == syntax.Pair) && !opensTable(st) {
			return false
		}
	}
	return true
}

func ofTables(p *syntax.Part) bool { return p.Name == tables[0] || p.Name == tables[1] }

// opensTable tells whether a statement is [services.NAME] or [networks.NAME].
func opensTable(st *syntax.Statement) bool {
	return st.Kind == syntax.Table && len(st.Key) == 2 && ofTables(&st.Key[0]) && st.Key[1].Len == len(st.Key[1].Name)
}

// takeTables takes from a text the values of the tables that are of a known shape,
// notes them, and returns the rest of the text.
func takeTables(text []byte, tree *syntax.Tree, root *node, taken map[*node]bool) (strange []byte) {
	known := shapes{of: map[string]bool{}}
	at := 0
	for i := 0; i < len(tree.Statements); i++ {
		if !opensTable(&tree.Statements[i]) {
			continue
		}
		n := i + 1
		for n < len(tree.Statements) && tree.Statements[n].Kind == syntax.Pair {
			n++
		}
		end := len(text)
		if n < len(tree.Statements) {
			end = tree.Statements[n].Off
		}
		st := &tree.Statements[i]
		if known.has(text[:end], tree.Statements[i:n]) {
			table := root.get(st.Key[0].Name).node.get(st.Key[1].Name).node
			table.plain(text, nil)
			taken[table] = true
			strange = append(strange, text[at:st.Off]...)
			at = end
		}
		i = n - 1
	}
	return append(strange, text[at:]...)
}

// fillBut fills the tree of a head from what was decoded of it: all but the tables
// that were taken from the text.
func (n *node) fillBut(decoded map[string]any, taken map[*node]bool) bool {
	for i := range n.entries {
		e := &n.entries[i]
		if e.name == tables[0] || e.name == tables[1] {
			if !e.node.fillTables(decoded[e.name], taken) {
				return false
			}
		} else if value, found := decoded[e.name]; !found || e.node.fill(value) != nil {
			return false
		}
		delete(decoded, e.name)
	}
	return len(decoded) == 0
}

// fillTables fills those tables that were decoded: if there are any, the first of
// a shape is.
func (n *node) fillTables(decoded any, taken map[*node]bool) bool {
	some, isTable := decoded.(map[string]any)
	if !isTable || n.kind != tableNode {
		return len(taken) == 0 && n.fill(decoded) == nil
	}
	for i := range n.entries {
		e := &n.entries[i]
		if taken[e.node] {
			continue
		}
		if value, found := some[e.name]; !found || e.node.fill(value) != nil {
			return false
		}
		delete(some, e.name)
	}
	return len(some) == 0
}
