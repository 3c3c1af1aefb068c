package lsp

import (
	"sort"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// document is a text as the editor has it.
type document struct {
	uri     string
	version int
	text    string
	lines   []int  // offset of each line's first byte
	index   *index // of text; nil: not made yet
}

func newDocument(uri string, version int, text string) *document {
	d := &document{uri: uri, version: version}
	d.set(text)
	return d
}

// set replaces the text. A byte order mark is no character of it.
func (d *document) set(text string) {
	d.text, d.index = strings.TrimPrefix(text, "\ufeff"), nil
	d.lines = append(d.lines[:0], 0)
	for i := 0; i < len(d.text); i++ {
		lone := d.text[i] == '\r' && !strings.HasPrefix(d.text[i+1:], "\n")
		if d.text[i] == '\n' || lone { // an editor's lines, not TOML's
			d.lines = append(d.lines, i+1)
		}
	}
}

func (d *document) change(c change) {
	if c.Range == nil {
		d.set(c.Text)
		return
	}
	from, to := d.offset(c.Range.Start), d.offset(c.Range.End)
	if to < from {
		from, to = to, from
	}
	d.set(d.text[:from] + c.Text + d.text[to:])
}

// offset is where a position is, in bytes. One behind the end of its line is
// the end, one inside a character its beginning.
func (d *document) offset(p position) int {
	if p.Line < 0 || p.Character < 0 {
		return 0
	}
	if p.Line >= len(d.lines) {
		return len(d.text)
	}
	off, units := d.lines[p.Line], 0
	for off < len(d.text) && d.text[off] != '\n' && d.text[off] != '\r' {
		r, size := utf8.DecodeRuneInString(d.text[off:])
		if units += utf16.RuneLen(valid(r)); units > p.Character {
			break
		}
		off += size
	}
	return off
}

// position is where a byte is.
func (d *document) position(off int) position {
	off = min(max(off, 0), len(d.text))
	line := sort.SearchInts(d.lines, off+1) - 1
	units := 0
	for _, r := range d.text[d.lines[line]:off] {
		units += utf16.RuneLen(valid(r))
	}
	return position{line, units}
}

// valid is what an editor shows for a byte that is no character.
func valid(r rune) rune {
	if utf16.RuneLen(r) < 0 {
		return utf8.RuneError
	}
	return r
}

func (d *document) span(off, n int) span {
	return span{d.position(off), d.position(off + n)}
}

func (d *document) whole() span { return d.span(0, len(d.text)) }
