package source

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"bulkhead/policyc/internal/diag"
	"bulkhead/policyc/internal/syntax"
)

// MaxSize bounds a policy file, in bytes: room for about a million rules.
const MaxSize = 256 << 20

// Parse reads a policy file that is alone. It always returns a File; where
// something could not be understood that is in the list and missing from the
// File.
func Parse(src *diag.Source, list *diag.List) *File {
	return ParseAll([]*diag.Source{src}, list)[0]
}

// ParseAll reads the files of a policy: their variables first, then what uses
// them. The trees of the heads of large files are kept until then, those of the
// parts behind them never. Where it shows that a file cannot be read in parts, its
// variables may stand behind the head, and all files are read again.
func ParseAll(sources []*diag.Source, list *diag.List) []*File {
	whole := make([]bool, len(sources)) // what cannot be read in parts
	for {
		found := &diag.List{}
		files, fine := readTexts(sources, whole, found)
		if fine {
			list.All = append(list.All, found.All...)
			return files
		}
	}
}

// readTexts reads files, of which some are to be read whole, and notes what else is;
// then it is to be asked again.
func readTexts(sources []*diag.Source, whole []bool, list *diag.List) (files []*File, fine bool) {
	v := &variables{list: list, by: map[string]map[string]*variable{}, lost: map[string]bool{}, bad: &atomic.Bool{}}
	texts := make([]*text, len(sources))
	for i, src := range sources {
		texts[i] = open(src, whole[i], list)
		if texts[i].root != nil {
			v.define(texts[i].root)
		}
	}
	readers := newReaders(false)
	files, fine = make([]*File, len(sources)), true
	for i, src := range sources {
		files[i] = &File{Src: src}
		if texts[i].root != nil {
			whole[i] = !texts[i].read(readers, v, files[i], list)
			fine = fine && !whole[i]
			files[i].Whole = !v.bad.Load()
		}
		texts[i] = nil // a tree is several times the text
	}
	v.unused()
	return files, fine
}

// text is a file on the way to its statements.
type text struct {
	src    *diag.Source
	root   *node // nil: it is not valid, which has been said
	starts []int // of the parts behind the head, which root is of; none: root is of all
}

// open reads a text, of a large one the head.
func open(src *diag.Source, whole bool, list *diag.List) *text {
	t := &text{src: src}
	if !sized(src, list) {
		return t
	}
	plain(src, list) // what else is wrong is said, too
	if t.starts = cut(src, partSize); t.starts != nil && !whole {
		t.root = readHead(src, t.starts[0])
	}
	if t.root == nil {
		t.root, t.starts = wholeTree(src, list), nil
	}
	return t
}

// read reads the statements of a text: those of its head, and of the parts behind
// it. false: the text must be read whole, and what was read is not to be used.
func (t *text) read(readers partReaders, v *variables, f *File, list *diag.List) bool {
	v.replace(t.root)
	(&reader{list: list}).file(t.root, f)
	if t.starts == nil {
		return true
	}
	scope := scopeName(t.root)
	type part struct {
		File
		list diag.List
	}
	parts := make([]part, len(t.starts))
	if !readers.inParts(t.src, t.starts, func(i int, root *node) {
		p := &parts[i]
		v.to(&p.list).in(root, scope)
		(&reader{list: &p.list}).lists(root, &p.File)
	}) {
		return false
	}
	rules, tests := 0, 0
	for i := range parts {
		rules, tests = rules+len(parts[i].Rules), tests+len(parts[i].Tests)
	}
	f.Rules, f.Tests = slices.Grow(f.Rules, rules), slices.Grow(f.Tests, tests)
	for i := range parts {
		f.Rules, f.Tests = append(f.Rules, parts[i].Rules...), append(f.Tests, parts[i].Tests...)
		list.All = append(list.All, parts[i].list.All...)
	}
	return true
}

// Reading is what a text says as TOML, whatever the language makes of it.
type Reading struct{ root *node }

// Read reads a text as TOML; nil: it is none, and that is in the list.
func Read(src *diag.Source, list *diag.List) *Reading {
	root := parseTree(src, list)
	if root == nil {
		return nil
	}
	return &Reading{root}
}

// Same tells whether two texts say the same, as the function Same does.
func (r *Reading) Same(other *Reading) error { return same(r.root, other.root) }

// Same tells whether two texts are valid TOML and say the same: equal tables,
// equal values, whatever the notation. An error says what differs. Order of
// arrays counts, order of keys does not.
func Same(a, b *diag.Source) error {
	var list diag.List
	left, right := parseTree(a, &list), parseTree(b, &list)
	if left == nil || right == nil {
		return fmt.Errorf("not valid: %s", list.All[0].Line())
	}
	return same(left, right)
}

func same(a, b *node) error {
	if isList(a) != isList(b) || !isList(a) && a.kind != b.kind ||
		len(a.entries) != len(b.entries) || len(a.items) != len(b.items) || a.isText != b.isText || a.text != b.text ||
		(a.scalar != nil || b.scalar != nil) && fmt.Sprintf("%T %v", a.scalar, a.scalar) != fmt.Sprintf("%T %v", b.scalar, b.scalar) {
		return fmt.Errorf("%s:%d:%d and %s:%d:%d differ",
			a.at.File(), a.at.Line(), a.at.Col(), b.at.File(), b.at.Line(), b.at.Col())
	}
	for i := range a.entries {
		other := b.get(a.entries[i].name)
		if other == nil {
			return fmt.Errorf("%s:%d: %q is lost", a.at.File(), a.entries[i].at.Line(), a.entries[i].name)
		}
		if err := same(a.entries[i].node, other.node); err != nil {
			return err
		}
	}
	for i := range a.items {
		if err := same(a.items[i], b.items[i]); err != nil {
			return err
		}
	}
	return nil
}

func isList(n *node) bool { return n.kind == arrayNode || n.kind == tablesNode }

// parseTree reads a text and keeps its tree. nil means that the text is not valid;
// that is in the list.
func parseTree(src *diag.Source, list *diag.List) *node {
	if !sized(src, list) || !plain(src, list) {
		return nil
	}
	if root := treeInParts(src, partSize); root != nil {
		return root
	}
	before := len(list.All)
	root := wholeTree(src, list)
	if len(list.All) > before {
		return nil // a value of it is not known
	}
	return root
}

// sized refuses a text that is not to be read at all.
func sized(src *diag.Source, list *diag.List) bool {
	if len(src.Text) > MaxSize {
		list.Errorf(diag.Span{}, "%s: the file has %d bytes, more than the %d a policy file may have", src.Name, len(src.Text), MaxSize)
		return false
	}
	return true
}

// plain refuses a text that is not what it looks like.
func plain(src *diag.Source, list *diag.List) bool {
	if i, r := turned(src.Text); i >= 0 {
		list.Errorf(src.Span(i, utf8.RuneLen(r)), "%s changes the order in which text is shown: what people read is not what is here", fmt.Sprintf("%U", r)).
			With("take it out")
		return false
	}
	return true
}

// treeInParts reads a text in parts and puts them together; nil: it must be read
// whole.
func treeInParts(src *diag.Source, size int) *node {
	starts := cut(src, size)
	if starts == nil {
		return nil
	}
	root, parts := readHead(src, starts[0]), make([]*node, len(starts))
	if root == nil || !newReaders(true).inParts(src, starts, func(i int, part *node) { parts[i] = part }) {
		return nil
	}
	for _, part := range parts {
		for _, e := range part.entries {
			if first := root.get(e.name); first != nil {
				first.node.items = append(first.node.items, e.node.items...)
			} else {
				root.add(e)
			}
		}
	}
	return root
}

// wholeTree reads a text twice, see package syntax, and joins both readings. Numbers
// that are too large are in the list, and bad in the tree.
func wholeTree(src *diag.Source, list *diag.List) *node {
	tree, scanErr := syntax.Scan(src)
	if scanErr != nil && scanErr.TooDeep {
		list.Errorf(src.Span(scanErr.Off, 1), "arrays and tables are nested more than %d deep", syntax.MaxDepth)
		return nil
	}
	var doubles diag.List
	root := build(tree, &doubles)
	decoded, large, tomlErr := decode(src, list)
	switch {
	case tomlErr != nil && len(doubles.All) > 0 && scanErr == nil:
		list.All = append(list.All, doubles.All...)
		return nil
	case tomlErr != nil:
		badSyntax(src, tomlErr, list)
		return nil
	case scanErr != nil:
		list.Errorf(src.Span(scanErr.Off, 1), "this form of TOML is not understood: %s", scanErr.Msg)
		return nil
	}
	if err := root.fill(decoded); err != nil {
		list.Errorf(root.at, "this form of TOML is not understood: %v", err)
		return nil
	}
	if len(large) > 0 {
		root.spoil(large)
	}
	return root
}

// badSyntax says in our form what the TOML parser says in its own.
func badSyntax(src *diag.Source, err error, list *diag.List) {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		list.Errorf(diag.Span{}, "%s: %v", src.Name, err)
		return
	}
	off := min(max(pe.Position.Start, 0), len(src.Text))
	n := min(max(pe.Position.Len, 1), len(src.Text)-off)
	message := pe.Message
	if message == "" {
		message = pe.Error()
	}
	d := list.Errorf(src.Span(off, n), "not valid TOML: %s", strings.TrimSuffix(message, "."))
	if strings.Contains(message, "expected") {
		d.With("strings stand in quotes, lists in [ ], tables in { }, each item but the last followed by a comma")
	}
}

// turned finds the first character that makes text look what it is not: the
// embeddings, overrides and isolates of Unicode's bidirectional algorithm (UAX
// #9, section 2). In a comment, too: behind one a rule can look like a comment,
// and a comment like a rule.
func turned(text []byte) (int, rune) {
	for at := 0; ; {
		i := bytes.IndexByte(text[at:], 0xe2) // all of them begin so
		if i < 0 {
			return -1, 0
		}
		at += i
		r, n := utf8.DecodeRune(text[at:])
		if r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return at, r
		}
		at += n
	}
}
