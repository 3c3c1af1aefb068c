package syntax

import (
	"bytes"
	"strings"

	"bulkhead/policyc/internal/diag"
)

// MaxDepth bounds how deep arrays and inline tables may nest. The language
// needs four.
const MaxDepth = 32

// Error is why a text could not be read as statements.
type Error struct {
	Off int
	Msg string
	// TooDeep says that MaxDepth stopped the scan: the text may be valid
	// TOML, but must not be handed to a parser that recurses.
	TooDeep bool
}

func (e *Error) Error() string { return e.Msg }

// Scan finds the statements of a text. On an error it returns those before.
func Scan(src *diag.Source) (*Tree, *Error) {
	s := &scanner{text: src.Text, names: words{}}
	tree := &Tree{Src: src, Statements: make([]Statement, 0, likely(src.Text))}
	return tree, s.statements(tree)
}

// statements reads all that is left of a text into a tree.
func (s *scanner) statements(tree *Tree) (err *Error) {
	defer func() {
		if r := recover(); r != nil {
			e, ours := r.(*Error)
			if !ours {
				panic(r)
			}
			err = e
		}
	}()
	for {
		lead := s.lead()
		if s.done() {
			tree.Tail = lead
			return nil
		}
		st := s.statement()
		st.Lead = lead
		tree.Statements = append(tree.Statements, st)
	}
}

// likely is about how many statements a text has, so that their list need not
// grow: lines that begin with something, of two bytes at the least.
func likely(text []byte) int {
	n := 0
	for len(text) > 0 {
		if c := text[0]; c > ' ' && c != '#' {
			n++
		}
		_, text, _ = bytes.Cut(text, newline)
	}
	return n
}

var newline = []byte{'\n'}

// scanner stands at text[off]. It gives up by panicking with *Error, which
// Scan catches: the descent has no use for half a value.
type scanner struct {
	text  []byte
	off   int
	names words
	pool  *Pool  // nil: what is made is kept
	parts []Part // room for keys: most are of one part
}

func (s *scanner) fail(msg string) {
	panic(&Error{Off: min(s.off, len(s.text)), Msg: msg})
}

func (s *scanner) done() bool { return s.off >= len(s.text) }

// peek is the byte at the scanner, 0 at the end. A NUL in the text is not
// valid TOML, so the two cannot be confused to any harm.
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.text[s.off]
}

func (s *scanner) has(prefix string) bool {
	return len(s.text)-s.off >= len(prefix) && string(s.text[s.off:s.off+len(prefix)]) == prefix
}

func (s *scanner) take(prefix string) bool {
	if !s.has(prefix) {
		return false
	}
	s.off += len(prefix)
	return true
}

func (s *scanner) want(prefix string) {
	if !s.take(prefix) {
		s.fail("expected " + prefix)
	}
}

func (s *scanner) blanks() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.off++
	}
}

// newline steps over one end of line.
func (s *scanner) newline() bool {
	return s.take("\n") || s.take("\r\n")
}

// lead reads comment lines and blank lines up to the next token.
func (s *scanner) lead() []string {
	var lines []string
	blank := false
	for {
		s.blanks()
		switch {
		case s.peek() == '#':
			if blank {
				lines = append(lines, "")
			}
			lines, blank = append(lines, s.comment()), false
			s.newline()
		case s.newline():
			blank = true
		default:
			if blank {
				lines = append(lines, "")
			}
			return lines
		}
	}
}

// comment reads up to the end of the line, which stays.
func (s *scanner) comment() string {
	start := s.off
	for !s.done() && s.peek() != '\n' {
		s.off++
	}
	text := string(s.text[start:s.off])
	if strings.HasSuffix(text, "\r") {
		s.off--
	}
	return strings.TrimRight(text, " \t\r")
}

// trailing reads the comment behind something on the same line, if any.
func (s *scanner) trailing() string {
	s.blanks()
	if s.peek() != '#' {
		return ""
	}
	return s.comment()
}

func (s *scanner) statement() Statement {
	st := Statement{Off: s.off}
	switch {
	case s.take("[["):
		st.Kind = ArrayTable
		st.Key = s.key()
		s.want("]]")
	case s.take("["):
		st.Kind = Table
		st.Key = s.key()
		s.want("]")
	default:
		st.Key = s.key()
		s.want("=")
		s.blanks()
		st.Value = s.value(0)
	}
	st.Comment = s.trailing()
	if !s.done() && !s.newline() {
		s.fail("expected the end of the line")
	}
	return st
}

// key reads a dotted key and the blanks around it.
func (s *scanner) key() []Part {
	if cap(s.parts)-len(s.parts) < 4 {
		s.parts = make([]Part, 0, max(256, 2*cap(s.parts)))
	}
	start := len(s.parts)
	for {
		s.blanks()
		s.parts = append(s.parts, s.part())
		s.blanks()
		if !s.take(".") {
			return s.parts[start:len(s.parts):len(s.parts)]
		}
	}
}

func (s *scanner) part() Part {
	start := s.off
	var name string
	switch s.peek() {
	case '"', '\'':
		s.str()
		name = unquote(string(s.text[start:s.off]))
	default:
		for isBare(s.peek()) {
			s.off++
		}
		if s.off == start {
			s.fail("expected a key")
		}
		name = s.names.word(s.text[start:s.off])
	}
	return Part{Name: name, Off: start, Len: s.off - start}
}

func isBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
