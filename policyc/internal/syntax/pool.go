package syntax

import "bulkhead/policyc/internal/diag"

// Pool lends what trees are made of. Who reads a large text part by part, and
// forgets each tree before the next, needs the memory of one part and not of all:
// the tree of a text is ten times the text. It belongs to one goroutine.
type Pool struct {
	values []*Value
	lent   int // of values
	tree   Tree
	names  words
	parts  []Part
}

// Scan is the function Scan for the stretch of a text between two offsets, of
// which the first is where a statement, or what stands above it, begins. Offsets
// are of the whole text. The tree is good until the next call.
func (p *Pool) Scan(src *diag.Source, from, to int) (*Tree, *Error) {
	if p.names == nil {
		p.names = words{}
	}
	p.lent = 0
	if p.tree.Statements == nil {
		p.tree.Statements = make([]Statement, 0, likely(src.Text[from:to]))
	}
	p.tree = Tree{Src: src, Statements: p.tree.Statements[:0]}
	s := &scanner{text: src.Text[:to], off: from, names: p.names, pool: p, parts: p.parts[:0]}
	err := s.statements(&p.tree)
	p.parts = s.parts
	return &p.tree, err
}

// value is an empty value; a nil pool makes one that is kept. One that was lent
// before has room for the elements that it had.
func (p *Pool) value() *Value {
	if p == nil {
		return &Value{}
	}
	if p.lent == len(p.values) {
		room := make([]Value, 128)
		for i := range room {
			p.values = append(p.values, &room[i])
		}
	}
	v := p.values[p.lent]
	p.lent++
	*v = Value{Elements: v.Elements[:0]}
	return v
}

// words has each of the few names that keys repeat once.
type words map[string]string

// maxWords bounds them: the keys of a text may all differ.
const maxWords = 1024

func (w words) word(text []byte) string {
	if known, found := w[string(text)]; found {
		return known
	}
	word := string(text)
	if w != nil && len(w) < maxWords {
		w[word] = word
	}
	return word
}
