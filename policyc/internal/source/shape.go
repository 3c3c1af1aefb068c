package source

import (
	"strconv"

	"bulkhead/policyc/internal/syntax"
)

// The rules of a large policy are written alike: they differ in the words between
// the quotes, and in numbers. Whether such a text is TOML does not depend on
// these, as long as they are plain: a string in double quotes of one to any number
// of printing characters of ASCII, no quote and no backslash among them; a number
// of decimal digits without a sign; true and false. And a plain value says what
// stands there: there is nothing to decode.
//
// So each item is reduced to its shape, the text with "x" for each plain string
// and 1 for each plain number. The TOML parser decides about the first item of a
// shape, and the verdict holds for all others, whose values are then taken from
// the text. An item with any value that is not plain is decoded, always.
//
// It makes a policy of 100,000 rules a hundred items for the parser, for one pass
// over the text and a look into a map a rule. Comments are part of the shape: a
// policy with another one in each rule is decoded as if there were no shapes.

// shapes are those that were handed to the TOML parser. If it refuses one, the
// reading fails as a whole, so nothing is taken back.
type shapes struct {
	of    map[string]bool
	room  []byte // of the shape in hand
	words words
}

const (
	// maxShapes bounds the shapes that are remembered, and maxShape their bytes:
	// 4 MiB at the most for each processor.
	maxShapes = 4096
	maxShape  = 1024
)

// has tells whether an item, the text from its first statement on, is of a known
// shape, and notes it if not. The last name of its header is part of the shape only
// if it is the only one: [services.a] is as [services.b], [[rules]] not as [[tests]].
func (s *shapes) has(text []byte, item []syntax.Statement) bool {
	w := shaper{text: text, from: item[0].Off, out: s.room[:0]}
	defer func() { s.room = w.out }()
	if key := item[0].Key; len(key) > 1 {
		w.name(&key[len(key)-1])
	}
	for i := range item {
		if v := item[i].Value; v != nil && !w.value(v) {
			return false
		}
	}
	w.copy(len(text))
	if len(w.out) > maxShape {
		return false
	}
	if s.of[string(w.out)] {
		return true
	}
	if len(s.of) < maxShapes {
		s.of[string(w.out)] = true
	}
	return false
}

// words has each of the texts that many rules name once.
type words map[string]string

// maxWords bounds them.
const maxWords = 1 << 16

// word is a text as a string; of nil words each is one of its own.
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

// shaper writes a shape: what is before from is written.
type shaper struct {
	text []byte
	from int
	out  []byte
}

// copy writes the text up to an offset. What would be too long is not written, and
// left for has to see by its first byte too many.
func (w *shaper) copy(to int) {
	w.out = append(w.out, w.text[w.from:min(to, w.from+maxShape+1)]...)
	w.from = to
}

// name writes the shape of a bare name: what is bare is.
func (w *shaper) name(p *syntax.Part) {
	w.copy(p.Off)
	w.out = append(w.out, 'x')
	w.from += p.Len
}

// value writes a value's shape. false: not all of it is plain, or it is too long.
func (w *shaper) value(v *syntax.Value) bool {
	if len(w.out) > maxShape {
		return false
	}
	if v.Kind == syntax.Array || v.Kind == syntax.Inline {
		for i := range v.Elements {
			if !w.value(v.Elements[i].Value) {
				return false
			}
		}
		return true
	}
	raw := w.text[v.Off : v.Off+v.Len]
	switch {
	case plainString(raw):
		w.copy(v.Off)
		w.out = append(w.out, `"x"`...)
		w.from += v.Len
	case plainNumber(raw):
		w.copy(v.Off)
		w.out = append(w.out, '1')
		w.from += v.Len
	case string(raw) != "true" && string(raw) != "false":
		return false
	}
	return true
}

func plainString(raw []byte) bool {
	if len(raw) < 3 || raw[0] != '"' {
		return false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// plainNumber: one of more digits may be too large, one with a zero in front is no
// TOML.
func plainNumber(raw []byte) bool {
	for _, c := range raw {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(raw) <= 18 && (raw[0] != '0' || len(raw) == 1)
}

// plain takes the values of an item of a known shape from the text. What stands in
// a list, as names of services do, stands in others, too, and is taken once.
func (n *node) plain(text []byte, list words) {
	switch n.kind {
	case scalarNode:
		n.plainValue(text[n.at.Off:][:n.at.Len], nil)
	case tableNode:
		for i := range n.entries {
			n.entries[i].node.plain(text, list)
		}
	default:
		for _, item := range n.items {
			if item.kind == scalarNode {
				item.plainValue(text[item.at.Off:][:item.at.Len], list)
			} else {
				item.plain(text, list)
			}
		}
	}
}

func (n *node) plainValue(raw []byte, known words) {
	switch {
	case raw[0] == '"':
		n.setText(known.word(raw[1 : len(raw)-1]))
	case raw[0] == 't', raw[0] == 'f':
		n.set(raw[0] == 't')
	default:
		v, _ := strconv.ParseInt(string(raw), 10, 64) // it is of digits, and few enough
		n.set(v)
	}
}
