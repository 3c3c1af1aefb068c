package source

import (
	"fmt"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/syntax"
)

// kind is what a node is.
type kind uint8

const (
	scalarNode kind = iota
	tableNode
	arrayNode  // [a, b]
	tablesNode // [[a]] [[a]]
)

// node is a TOML value with its place. Scalars get their value from the TOML
// parser, in fill.
type node struct {
	kind    kind
	defined bool // tableNode: by a header or as an inline table
	dotted  bool // tableNode: made by a dotted key, open to further ones
	bad     bool // scalarNode: its value is not known, which has been reported
	at      diag.Span
	entries []entry        // tableNode, in order of the text
	index   map[string]int // tableNode of more than a few entries
	items   []*node        // arrayNode, tablesNode
	isText  bool           // scalarNode: it is a string
	text    string         // the string
	scalar  any            // scalarNode that is no string
}

// set gives a scalar its value.
func (n *node) set(value any) {
	if text, is := value.(string); is {
		n.setText(text)
		return
	}
	n.scalar = value
}

func (n *node) setText(text string) { n.isText, n.text = true, text }

// entry is a key of a table with what stands behind it.
type entry struct {
	name string
	at   diag.Span
	node *node
}

// small is how many entries a table may have before lookups need an index.
const small = 8

func (n *node) get(name string) *entry {
	if n.index != nil {
		if i, found := n.index[name]; found {
			return &n.entries[i]
		}
		return nil
	}
	for i := range n.entries {
		if n.entries[i].name == name {
			return &n.entries[i]
		}
	}
	return nil
}

func (n *node) add(e entry) {
	n.entries = append(n.entries, e)
	if n.index != nil {
		n.index[e.name] = len(n.entries) - 1
		return
	}
	if len(n.entries) > small {
		n.index = make(map[string]int, 2*small)
		for i := range n.entries {
			n.index[n.entries[i].name] = i
		}
	}
}

// builder applies TOML's rules of tables to the statements. It also finds
// every name that is defined twice, with both places, where the TOML parser
// stops at the first.
type builder struct {
	src  *diag.Source
	list *diag.List
	pool *pool // nil: the tree is kept
}

// pool lends nodes, for trees that are read and forgotten one after the other. It
// belongs to one goroutine.
type pool struct {
	nodes []*node
	lent  int
}

// node is an empty node; a nil pool makes one that is kept. One that was lent
// before has room for the entries and items that it had.
func (p *pool) node(kind kind, at diag.Span) *node {
	if p == nil {
		return &node{kind: kind, at: at}
	}
	if p.lent == len(p.nodes) {
		room := make([]node, 128)
		for i := range room {
			p.nodes = append(p.nodes, &room[i])
		}
	}
	n := p.nodes[p.lent]
	p.lent++
	*n = node{kind: kind, at: at, entries: n.entries[:0], items: n.items[:0]}
	return n
}

// table is a node for a table that a header or braces define.
func (p *pool) table(at diag.Span) *node {
	n := p.node(tableNode, at)
	n.defined = true
	return n
}

// build makes the tree of a text.
func build(tree *syntax.Tree, list *diag.List) *node { return buildIn(nil, tree, list) }

// buildIn is build with nodes of a pool.
func buildIn(p *pool, tree *syntax.Tree, list *diag.List) *node {
	b := &builder{tree.Src, list, p}
	root := p.table(tree.Src.Span(0, 0))
	current := root
	for i := range tree.Statements {
		st := &tree.Statements[i]
		switch st.Kind {
		case syntax.Pair:
			b.pair(current, st.Key, st.Value)
		case syntax.Table:
			current = b.table(root, st.Key)
		case syntax.ArrayTable:
			current = b.arrayTable(root, st.Key)
		}
	}
	return root
}

// descend walks to the table that the last part of a key is in, making tables
// on the way. nil means that the way is barred; that has been reported.
func (b *builder) descend(n *node, key []syntax.Part, dotted bool) *node {
	for _, part := range key[:len(key)-1] {
		e := n.get(part.Name)
		if e == nil {
			child := b.pool.node(tableNode, b.span(part))
			child.dotted = dotted
			n.add(entry{part.Name, b.span(part), child})
			n = child
			continue
		}
		switch {
		case e.node.kind == tableNode:
			n = e.node
		case e.node.kind == tablesNode && !dotted:
			n = e.node.items[len(e.node.items)-1]
		default:
			b.duplicate(part, e)
			return nil
		}
	}
	return n
}

func (b *builder) pair(n *node, key []syntax.Part, v *syntax.Value) {
	last := key[len(key)-1]
	if n = b.descend(n, key, true); n == nil {
		return
	}
	if e := n.get(last.Name); e != nil {
		b.duplicate(last, e)
		return
	}
	n.add(entry{last.Name, b.span(last), b.value(v)})
}

// table opens [key]. Behind a barred header the pairs go to a table that
// nobody sees, so that they cause no further findings.
func (b *builder) table(root *node, key []syntax.Part) *node {
	last := key[len(key)-1]
	fresh := b.pool.table(b.span(last))
	n := b.descend(root, key, false)
	if n == nil {
		return fresh
	}
	e := n.get(last.Name)
	switch {
	case e == nil:
		n.add(entry{last.Name, b.span(last), fresh})
		return fresh
	case e.node.kind == tableNode && !e.node.defined && !e.node.dotted:
		e.node.defined = true
		return e.node
	}
	b.duplicate(last, e)
	return fresh
}

func (b *builder) arrayTable(root *node, key []syntax.Part) *node {
	last := key[len(key)-1]
	fresh := b.pool.table(b.span(last))
	n := b.descend(root, key, false)
	if n == nil {
		return fresh
	}
	e := n.get(last.Name)
	switch {
	case e == nil:
		list := b.pool.node(tablesNode, b.span(last))
		list.items = append(list.items, fresh)
		n.add(entry{last.Name, b.span(last), list})
	case e.node.kind == tablesNode:
		e.node.items = append(e.node.items, fresh)
	default:
		b.duplicate(last, e)
	}
	return fresh
}

func (b *builder) value(v *syntax.Value) *node {
	n := b.pool.node(scalarNode, b.src.Span(v.Off, v.Len))
	switch v.Kind {
	case syntax.Array:
		n.kind = arrayNode
		for i := range v.Elements {
			n.items = append(n.items, b.value(v.Elements[i].Value))
		}
	case syntax.Inline:
		n.kind, n.defined = tableNode, true
		for i := range v.Elements {
			b.pair(n, v.Elements[i].Key, v.Elements[i].Value)
		}
	}
	return n
}

func (b *builder) span(p syntax.Part) diag.Span { return b.src.Span(p.Off, p.Len) }

func (b *builder) duplicate(p syntax.Part, first *entry) {
	b.list.Errorf(b.span(p), "%q is already defined", p.Name).
		With("give one of the two another name, or put them together").
		Note(first.at, "first defined here")
}

// fill takes the values from what the TOML parser decoded. An error means
// that the two readings differ in shape.
func (n *node) fill(decoded any) error {
	switch d := decoded.(type) {
	case map[string]any:
		if n.kind != tableNode || len(n.entries) != len(d) {
			return n.differs()
		}
		for i := range n.entries {
			child, found := d[n.entries[i].name]
			if !found {
				return n.differs()
			}
			if err := n.entries[i].node.fill(child); err != nil {
				return err
			}
		}
	case []map[string]any:
		items := make([]any, len(d))
		for i := range d {
			items[i] = d[i]
		}
		return n.fillItems(items)
	case []any:
		return n.fillItems(d)
	default:
		if n.kind != scalarNode {
			return n.differs()
		}
		n.set(d)
	}
	return nil
}

func (n *node) fillItems(items []any) error {
	if (n.kind != arrayNode && n.kind != tablesNode) || len(n.items) != len(items) {
		return n.differs()
	}
	for i := range items {
		if err := n.items[i].fill(items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) differs() error {
	return fmt.Errorf("line %d column %d is not read as the TOML parser reads it", n.at.Line(), n.at.Col())
}
