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

// A tree of a large policy is twenty times its text, and the TOML parser's reading
// of it as much again. Nearly all of such a text is rules and tests, one [[rules]]
// behind the other, and where an item of a list begins nothing that follows
// depends on what stands before. So the text is cut in front of such headers, and
// the parts are read side by side, each forgotten when its rules have been taken
// from it.
//
// Where to cut is guessed: at lines that begin with [[rules]] or [[tests]]. The
// guess is right, and the parts of a text are valid TOML if, and only if, the
// whole is, where all of this holds:
//
//   - Each part is of whole statements. A line that only looks like a header, in a
//     string of several lines, leaves that string open at the end of the part
//     before. The first part begins where a text does, and so each next one where
//     a statement does.
//   - Behind the first cut there are headers of rules and tests only, each part
//     begins with one, and a header below a list ([rules.allow]) is of the list of
//     the item that it stands in. So no table is opened in two parts.
//   - The part before the first cut, the head, defines neither rules nor tests.
//
// Where that does not hold, or any part is not valid, the text is read whole: what
// is wrong with it is said as of one text. Of the items of a part only those of a
// new shape are decoded, see shape.go, and so it is with the services and networks
// of the head, see head.go. BenchmarkParse has the ways beside each other.

// partSize is how many bytes a part has at the least.
const partSize = 1 << 16

// lists are the names of what may be cut.
var lists = [2]string{"rules", "tests"}

// smallText is how many bytes a text has that is not worth cutting.
const smallText = 1 << 12

// cut finds where the parts of a text begin, the head apart; none if it is small.
// Parts but the last have size bytes at the least.
func cut(src *diag.Source, size int) []int {
	if first := nextItem(src.Text, 0); first >= 0 && len(src.Text) >= min(2*size, smallText) {
		return PartsFrom(src, first, size)
	}
	return nil
}

// Parts finds where the parts of a text begin, the head apart, for who keeps what was
// made of each; parts but the last have size bytes at the least. false: they do not
// stand each by itself.
func Parts(src *diag.Source, size int) (starts []int, fine bool) {
	first := nextItem(src.Text, 0)
	if first < 0 {
		return nil, true
	}
	var pool syntax.Pool
	if _, bad := pool.Scan(src, 0, first); bad != nil {
		return nil, false // what looks like a header may be in a string
	}
	starts = PartsFrom(src, first, size)
	return starts, ItemsOnly(src, starts)
}

// PartsFrom is where the parts of what stands behind an offset would begin, the first
// there; none if no item begins there.
func PartsFrom(src *diag.Source, from, size int) (starts []int) {
	if !beginsItem(src.Text[from:]) {
		return nil
	}
	for at := from; at >= 0; at = nextItem(src.Text, min(at+size, len(src.Text))) {
		starts = append(starts, at)
	}
	return starts
}

// ItemsOnly tells whether each of some parts of a text, of which the first begins where
// a statement does, is of whole statements and of nothing but rules and tests.
func ItemsOnly(src *diag.Source, starts []int) bool {
	var pool syntax.Pool
	for i, from := range starts {
		to := len(src.Text)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		if tree, bad := pool.Scan(src, from, to); bad != nil || !itemsOnly(tree) {
			return false
		}
	}
	return true
}

// nextItem is where the first line that begins an item by its looks begins, behind
// the line that from is in; -1 for none.
func nextItem(text []byte, from int) int {
	for at := from; ; {
		i := bytes.Index(text[at:], []byte("\n[["))
		if i < 0 {
			return -1
		}
		at += i + 1
		if beginsItem(text[at:]) {
			return at
		}
	}
}

// beginsItem tells whether a text begins with the header of a rule or a test.
func beginsItem(text []byte) bool {
	for _, name := range lists {
		if bytes.HasPrefix(text, []byte("[["+name+"]]")) {
			return true
		}
	}
	return false
}

// partReader reads parts of texts, one after the other. It belongs to one goroutine.
type partReader struct {
	src   *diag.Source
	scan  syntax.Pool
	nodes *pool // nil: trees are kept
	known shapes
}

// partReaders are as many as read side by side. What they have for one text they have
// for the next: a policy may be of a thousand small files.
type partReaders []*partReader

// newReaders makes them; keep has them make trees that last.
func newReaders(keep bool) partReaders {
	out := make(partReaders, runtime.GOMAXPROCS(0))
	for i := range out {
		out[i] = &partReader{known: shapes{of: map[string]bool{}}}
		if !keep {
			out[i].nodes, out[i].known.words = &pool{}, words{}
		}
	}
	return out
}

// inParts reads the parts of a text that begin at starts, side by side, and hands
// each with its number to take, which must not keep it unless trees last. false: the
// text must be read whole.
func (readers partReaders) inParts(src *diag.Source, starts []int, take func(i int, root *node)) bool {
	var next atomic.Int32
	var failed atomic.Bool
	var all sync.WaitGroup
	read := func(r *partReader) {
		r.src = src
		for i := int(next.Add(1)) - 1; i < len(starts) && !failed.Load(); i = int(next.Add(1)) - 1 {
			end := len(src.Text)
			if i+1 < len(starts) {
				end = starts[i+1]
			}
			root := r.part(starts[i], end)
			if root == nil {
				failed.Store(true)
				return
			}
			take(i, root)
		}
	}
	for _, r := range readers[1:min(len(starts), len(readers))] {
		all.Go(func() { read(r) })
	}
	read(readers[0])
	all.Wait()
	return !failed.Load()
}

// part reads the part between two offsets; nil: the text must be read whole.
func (r *partReader) part(from, to int) *node {
	tree, bad := r.scan.Scan(r.src, from, to)
	if bad != nil || !itemsOnly(tree) {
		return nil
	}
	if r.nodes != nil {
		r.nodes.lent = 0
	}
	var doubles diag.List
	root := buildIn(r.nodes, tree, &doubles)
	if len(doubles.All) > 0 || !r.fill(tree, root, to) {
		return nil
	}
	return root
}

// itemsOnly tells whether a tree is of rules and tests, and begins with one.
func itemsOnly(tree *syntax.Tree) bool {
	of := -1 // the list of the item in hand
	for i := range tree.Statements {
		st := &tree.Statements[i]
		switch which := listOf(st); {
		case itemOf(st) >= 0:
			of = which
		case of < 0, st.Kind != syntax.Pair && which != of:
			return false
		}
	}
	return of >= 0
}

// fill fills the nodes of a part: those of items of a known shape from the text,
// the others from what the TOML parser makes of them.
func (r *partReader) fill(tree *syntax.Tree, root *node, to int) bool {
	var strange []byte
	var nodes [2][]*node
	var count [2]int
	for rest := tree.Statements; len(rest) > 0; {
		n := 1 // statements of the item in front
		for n < len(rest) && itemOf(&rest[n]) < 0 {
			n++
		}
		end := to
		if n < len(rest) {
			end = rest[n].Off
		}
		which := itemOf(&rest[0])
		item := root.get(lists[which]).node.items[count[which]]
		count[which]++
		if r.known.has(r.src.Text[:end], rest[:n]) {
			item.plain(r.src.Text, r.known.words)
		} else {
			strange = append(strange, r.src.Text[rest[0].Off:end]...)
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
