package diag

import (
	"bytes"
	"slices"
	"sync"
	"unicode/utf8"
)

// Source is one text that diagnostics point into. Text has no byte order
// mark, so that column 1 is the first character that an editor shows.
type Source struct {
	Name string
	Text []byte

	lines []int32 // offset of each line's first byte, made when the first is asked for
	once  sync.Once
}

// NewSource takes a text under the name that diagnostics give it. A UTF-8
// byte order mark is cut off; the text is not copied.
func NewSource(name string, text []byte) *Source {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	return &Source{Name: name, Text: text}
}

// starts are where lines begin.
func (s *Source) starts() []int32 {
	s.once.Do(func() {
		s.lines = make([]int32, 1, 1+bytes.Count(s.Text, newline))
		for at := bytes.IndexByte(s.Text, '\n') + 1; at > 0; {
			s.lines = append(s.lines, int32(at))
			i := bytes.IndexByte(s.Text[at:], '\n')
			if i < 0 {
				return
			}
			at += i + 1
		}
	})
	return s.lines
}

var newline = []byte{'\n'}

// Span is a stretch of a source. The zero Span points nowhere.
type Span struct {
	Src      *Source
	Off, Len int32 // bytes
}

// Span points at n bytes from off on.
func (s *Source) Span(off, n int) Span {
	return Span{Src: s, Off: int32(off), Len: int32(n)}
}

// File is the name of the source, "" for the zero Span.
func (p Span) File() string {
	if p.Src == nil {
		return ""
	}
	return p.Src.Name
}

// Line is the 1-based line of the span's start, 0 for the zero Span.
func (p Span) Line() int {
	if p.Src == nil {
		return 0
	}
	at, first := slices.BinarySearch(p.Src.starts(), p.Off)
	if first {
		at++
	}
	return at
}

// Col is the 1-based column of the span's start, counted in characters as
// editors count them, 0 for the zero Span.
func (p Span) Col() int {
	line := p.Line()
	if line == 0 {
		return 0
	}
	return utf8.RuneCount(p.Src.Text[p.Src.starts()[line-1]:p.Off]) + 1
}

// text is the line that holds the span's start, without its end-of-line.
func (p Span) text() []byte {
	start := p.Src.starts()[p.Line()-1]
	line := p.Src.Text[start:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	return bytes.TrimSuffix(line, []byte("\r"))
}
