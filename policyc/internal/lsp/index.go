package lsp

import (
	"slices"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/syntax"
)

// word is a string or a name of a key, and where it stands.
type word struct {
	text     string
	off, n   int
	path     []string // of tables and keys, the word's own last where it is a key
	isKey    bool
	declares bool // it is NAME of [services.NAME] or [networks.NAME]
}

// index is what a text holds, statement by statement. Of a text that is no TOML
// it is what stands before the mistake.
type index struct {
	src   *diag.Source
	tree  *syntax.Tree
	words []word
	table []string // while it is made: the table that pairs are in
	scope string   // that the text is of, "" for none
}

func makeIndex(name, text string) *index {
	x := &index{src: diag.NewSource(name, []byte(text))}
	x.tree, _ = syntax.Scan(x.src)
	x.words = make([]word, 0, 5*len(x.tree.Statements)) // a rule's line has six and more, a service's three
	for i := range x.tree.Statements {
		st := &x.tree.Statements[i]
		if st.Kind != syntax.Pair {
			x.table = nil
			x.key(nil, st.Key)
			x.table = names(st.Key)
			continue
		}
		x.key(x.table, st.Key)
		x.value(below(x.table, st.Key), st.Value)
	}
	for _, w := range x.words {
		if !w.isKey && slices.Equal(w.path, []string{"scope", "name"}) {
			x.scope = w.text
		}
	}
	return x
}

// below is a path with a key behind it, itself where there is none: most values of
// a policy are elements of lists.
func below(path []string, key []syntax.Part) []string {
	if len(key) == 0 {
		return path
	}
	return slices.Concat(path, names(key))
}

func names(key []syntax.Part) []string {
	out := make([]string, len(key))
	for i, p := range key {
		out[i] = p.Name
	}
	return out
}

// key adds each name of a key.
func (x *index) key(under []string, key []syntax.Part) {
	all := below(under, key) // the words of a key share it
	for i, p := range key {
		path := all[: len(under)+i+1 : len(under)+i+1]
		declares := len(path) == 2 && (path[0] == "services" || path[0] == "networks")
		x.words = append(x.words, word{p.Name, p.Off, p.Len, path, true, declares})
	}
}

func (x *index) value(path []string, v *syntax.Value) {
	if v.Kind == syntax.String {
		x.words = append(x.words, word{text: x.text(v), off: v.Off, n: v.Len, path: path})
	}
	for i := range v.Elements {
		e := &v.Elements[i]
		if e.Key != nil {
			x.key(path, e.Key)
		}
		x.value(below(path, e.Key), e.Value)
	}
}

// text is a string's value; one over several lines names nothing.
func (x *index) text(v *syntax.Value) string {
	s, _ := syntax.Unquote(v.Raw(x.src))
	return s
}

// at finds the word at an offset; its end counts, too, for that is where a
// cursor stands that has just written it.
func (x *index) at(off int) (word, bool) {
	i := slices.IndexFunc(x.words, func(w word) bool { return w.off <= off && off <= w.off+w.n })
	if i < 0 {
		return word{}, false
	}
	return x.words[i], true
}

// names tells whether a word is, or uses, the name of a service or network.
func (w word) names() bool {
	if w.isKey {
		return w.declares
	}
	switch w.path[len(w.path)-1] {
	case "from", "to":
		return w.path[0] == "rules" || w.path[0] == "tests"
	case "services":
		return len(w.path) == 3 && w.path[0] == "services"
	}
	return false
}
