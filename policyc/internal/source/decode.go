package source

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/BurntSushi/toml"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/syntax"
)

// The TOML parser's reading of a large policy is most of the time that it takes
// to read, and as much memory as all the rest. Nearly all of such a text is rules
// and tests, one [[rules]] behind the other, and where an item of a list begins
// nothing that follows depends on what stands before. So the text is cut in
// front of such headers, and the parts are decoded side by side, each put into
// the tree and forgotten.
//
// The parts of a text are valid TOML if, and only if, the whole is:
//
//   - A cut is in front of [[rules]] or [[tests]], and behind the first cut there
//     are headers of rules and tests only. So no table is opened in two parts,
//     and [rules.allow] is of an item of its own part.
//   - The part before the first cut defines neither rules nor tests.
//
// Where that does not hold, or any part is not valid, the text is decoded whole:
// what is wrong with it is said as of one text. BenchmarkParse has both.

// partSize is how many bytes a part has at the least.
const partSize = 1 << 16

// part is a stretch of a text, and which items of its lists are in it: [rules],
// [tests], by the number of the first and the one behind the last.
type part struct {
	from, to int
	items    [2][2]int
}

// lists are the names of what may be cut.
var lists = [2]string{"rules", "tests"}

// fillInParts decodes a text that can be cut, in parts of a size at the least, and
// fills its tree. false: it is to be decoded whole.
func fillInParts(src *diag.Source, tree *syntax.Tree, root *node, size int) bool {
	parts := cut(src, tree, size)
	if parts == nil {
		return false
	}
	var next atomic.Int32
	var failed atomic.Bool
	var all sync.WaitGroup
	for range min(len(parts), runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(parts) && !failed.Load(); i = int(next.Add(1)) - 1 {
				if !parts[i].fill(src.Text, root, i == 0) {
					failed.Store(true)
				}
			}
		})
	}
	all.Wait()
	return !failed.Load()
}

// fill decodes a part and fills its nodes, which are of no other part.
func (p *part) fill(text []byte, root *node, head bool) bool {
	decoded := map[string]any{}
	if _, err := toml.NewDecoder(bytes.NewReader(text[p.from:p.to])).Decode(&decoded); err != nil {
		return false
	}
	if head {
		return root.fillHead(decoded)
	}
	for i, name := range lists {
		items, isList := decoded[name].([]map[string]any)
		from, to := p.items[i][0], p.items[i][1]
		if _, there := decoded[name]; there && !isList || len(items) != to-from {
			return false
		}
		for j := range items {
			if root.get(name).node.items[from+j].fill(items[j]) != nil {
				return false
			}
		}
		delete(decoded, name)
	}
	return len(decoded) == 0
}

// fillHead fills all entries of the root but the lists that are cut.
func (n *node) fillHead(decoded map[string]any) bool {
	for i := range n.entries {
		e := &n.entries[i]
		if e.name == lists[0] || e.name == lists[1] {
			continue
		}
		if value, found := decoded[e.name]; !found || e.node.fill(value) != nil {
			return false
		}
		delete(decoded, e.name)
	}
	return len(decoded) == 0
}

// cut finds the parts of a text, nil if it cannot be cut or is small.
func cut(src *diag.Source, tree *syntax.Tree, size int) []part {
	if len(src.Text) < 2*size {
		return nil
	}
	parts := []part{{}}
	var count [2]int
	header, inList := false, false // there was one; the first cut was made
	for i := range tree.Statements {
		st := &tree.Statements[i]
		which := -1
		for j, name := range lists {
			if st.Key[0].Name == name {
				which = j
			}
		}
		item := st.Kind == syntax.ArrayTable && len(st.Key) == 1 && which >= 0
		switch last := &parts[len(parts)-1]; {
		case item && (len(parts) == 1 || st.Off-last.from >= size):
			last.to = st.Off
			parts = append(parts, part{from: st.Off, items: [2][2]int{{count[0], count[0]}, {count[1], count[1]}}})
			inList = true
		case st.Kind == syntax.Pair && inList: // of the table in hand
		case which < 0 && inList, which >= 0 && !inList && (st.Kind != syntax.Pair || !header):
			return nil // a table behind the lists, or a list before the first cut
		case which >= 0 && !item && st.Kind != syntax.Pair && count[which] == 0:
			return nil // [tests.from] of no [[tests]]: a table of its own
		}
		header = header || st.Kind != syntax.Pair
		if item {
			count[which]++
			parts[len(parts)-1].items[which][1] = count[which]
		}
	}
	parts[len(parts)-1].to = len(src.Text)
	if len(parts) < 3 {
		return nil
	}
	return parts
}
