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
//   - A header below a list is of the list of the item that it stands in.
//
// Where that does not hold, or any part is not valid, the text is decoded whole:
// what is wrong with it is said as of one text. Of the items of a part only those
// of a new shape are decoded, see shape.go. BenchmarkParse has all three.

// partSize is how many bytes a part has at the least.
const partSize = 1 << 16

// part is a stretch of a text, the statements in it from the first to the one
// behind the last, and the numbers of the first items of [rules] and [tests].
type part struct {
	from, to   int
	statements []syntax.Statement
	items      [2]int
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
			known := shapes{}
			for i := int(next.Add(1)) - 1; i < len(parts) && !failed.Load(); i = int(next.Add(1)) - 1 {
				if i == 0 && !parts[i].fillHead(src.Text, root) || i > 0 && !parts[i].fill(src.Text, root, known) {
					failed.Store(true)
				}
			}
		})
	}
	all.Wait()
	return !failed.Load()
}

// fillHead decodes what stands before the lists, and fills all entries of the root
// but those.
func (p *part) fillHead(text []byte, root *node) bool {
	decoded := map[string]any{}
	if _, err := toml.NewDecoder(bytes.NewReader(text[p.from:p.to])).Decode(&decoded); err != nil {
		return false
	}
	for i := range root.entries {
		e := &root.entries[i]
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

// fill fills the nodes of a part, which are of no other: those of items of a known
// shape from the text, the others from what the TOML parser makes of them.
func (p *part) fill(text []byte, root *node, known shapes) bool {
	own := string(text[p.from:p.to]) // one copy, which all strings of the part are pieces of
	var strange []byte
	var nodes [2][]*node
	count := p.items
	for rest := p.statements; len(rest) > 0; {
		n := 1 // statements of the item in front
		for n < len(rest) && itemOf(&rest[n]) < 0 {
			n++
		}
		end := p.to
		if n < len(rest) {
			end = rest[n].Off
		}
		which := itemOf(&rest[0])
		item := root.get(lists[which]).node.items[count[which]]
		count[which]++
		if known.has(text[:end], rest[:n]) {
			item.plain(own, p.from)
		} else {
			strange = append(strange, text[rest[0].Off:end]...)
			nodes[which] = append(nodes[which], item)
		}
		rest = rest[n:]
	}
	return fillDecoded(strange, &nodes)
}

// fillDecoded decodes items and fills their nodes.
func fillDecoded(text []byte, nodes *[2][]*node) bool {
	decoded := map[string]any{}
	if _, err := toml.NewDecoder(bytes.NewReader(text)).Decode(&decoded); err != nil {
		return false
	}
	for i, name := range lists {
		items, isList := decoded[name].([]map[string]any)
		if _, there := decoded[name]; there && !isList || len(items) != len(nodes[i]) {
			return false
		}
		for j := range items {
			if nodes[i][j].fill(items[j]) != nil {
				return false
			}
		}
		delete(decoded, name)
	}
	return len(decoded) == 0
}

// listOf is which of lists a statement's key begins with, -1 for none.
func listOf(st *syntax.Statement) int {
	for i, name := range lists {
		if st.Key[0].Name == name {
			return i
		}
	}
	return -1
}

// itemOf is which of lists a statement begins an item of, -1 for none.
func itemOf(st *syntax.Statement) int {
	if st.Kind != syntax.ArrayTable || len(st.Key) != 1 {
		return -1
	}
	return listOf(st)
}

// cut finds the parts of a text, nil if it cannot be cut or is small.
func cut(src *diag.Source, tree *syntax.Tree, size int) []part {
	if len(src.Text) < 2*size {
		return nil
	}
	parts := []part{{}}
	var count [2]int
	begun, of := 0, -1 // the statement that the part begins with; the list of the item in hand
	header := false
	for i := range tree.Statements {
		st := &tree.Statements[i]
		which, last := listOf(st), &parts[len(parts)-1]
		item := itemOf(st) >= 0
		switch {
		case item && (len(parts) == 1 || st.Off-last.from >= size):
			last.to, last.statements = st.Off, tree.Statements[begun:i]
			parts, begun = append(parts, part{from: st.Off, items: count}), i
		case item, st.Kind == syntax.Pair && of >= 0: // of the item in hand
		case of >= 0 && which != of:
			return nil // a table behind the lists, or of another item than the one it stands in
		case which >= 0 && of < 0 && (st.Kind != syntax.Pair || !header):
			return nil // a list before the first cut
		}
		header = header || st.Kind != syntax.Pair
		if item {
			count[which]++
			of = which
		}
	}
	parts[len(parts)-1].to, parts[len(parts)-1].statements = len(src.Text), tree.Statements[begun:]
	if len(parts) < 3 {
		return nil
	}
	return parts
}
