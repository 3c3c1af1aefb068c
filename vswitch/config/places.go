package config

import (
	"fmt"
	"strconv"
	"strings"
)

// position is where something stands: line and column, from 1.
type position struct{ line, column int }

// places says where the keys and the values of a file stand, by the path that
// mistakes name: ports[1].ips[0]. The TOML package decides what is TOML and
// what it says, but tells no places, so the text is read once more for them.
type places struct {
	keys, values map[string]position
}

// of returns where a value stands, else its key, else the nearest around it.
func (p *places) of(path string) position {
	if at, found := p.values[path]; found {
		return at
	}
	return p.keyOf(path)
}

// keyOf returns where a key stands, or the nearest around it.
func (p *places) keyOf(path string) position {
	for path != "" {
		if at, found := p.keys[path]; found {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return position{1, 1}
}

// under makes the path of a key in a table.
func under(table, key string) string {
	for _, r := range key {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			key = strconv.Quote(key)
			break
		}
	}
	if table == "" {
		return key
	}
	return table + "." + key
}

// scanner reads valid TOML for its places. Of a text that is not, it finds
// some places and always ends.
type scanner struct {
	text   string
	at     int
	line   int
	start  int // where the line starts
	table  string
	count  map[string]int // tables in each [[list]] so far
	places places
}

// findPlaces reads a whole text.
func findPlaces(text string) *places {
	s := &scanner{text: strings.TrimPrefix(text, "\ufeff"), line: 1, count: map[string]int{},
		places: places{map[string]position{}, map[string]position{}}}
	for s.skip(" \t\r\n"); s.at < len(s.text); s.skip(" \t\r\n") {
		if s.text[s.at] == '[' {
			s.header()
		} else {
			s.assignment(s.table)
		}
	}
	return &s.places
}

func (s *scanner) here() position { return position{s.line, s.at - s.start + 1} }

func (s *scanner) next() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// step goes on by n bytes, counting lines.
func (s *scanner) step(n int) {
	for range min(n, len(s.text)-s.at) {
		if s.text[s.at] == '\n' {
			s.line, s.start = s.line+1, s.at+1
		}
		s.at++
	}
}

// until goes on to the first of some bytes, by one byte at least.
func (s *scanner) until(stops string) {
	n := strings.IndexAny(s.text[s.at:], stops)
	if n < 0 {
		n = len(s.text) - s.at
	}
	s.step(max(1, n))
}

// skip passes blanks and comments.
func (s *scanner) skip(blanks string) {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case strings.IndexByte(blanks, c) >= 0:
			s.step(1)
		case c == '#':
			s.until("\n")
		default:
			return
		}
	}
}

// header reads [table] or [[list]].
func (s *scanner) header() {
	at, list := s.here(), strings.HasPrefix(s.text[s.at:], "[[")
	s.step(1)
	if list {
		s.step(1)
	}
	parts := s.key()
	s.table = s.resolve("", parts)
	if list {
		plain := under(s.resolve("", parts[:len(parts)-1]), parts[len(parts)-1])
		s.table = fmt.Sprintf("%s[%d]", plain, s.count[plain])
		s.count[plain]++
		s.note(s.places.keys, plain, at)
	}
	s.note(s.places.keys, s.table, at)
	s.skip(" \t]")
}

// resolve makes a path of the parts of a key; a part that is a [[list]] means
// the last table of it.
func (s *scanner) resolve(table string, parts []string) string {
	for _, part := range parts {
		table = under(table, part)
		if n := s.count[table]; n > 0 {
			table = fmt.Sprintf("%s[%d]", table, n-1)
		}
	}
	return table
}

// note keeps the first place of a path.
func (s *scanner) note(in map[string]position, path string, at position) {
	if _, seen := in[path]; !seen {
		in[path] = at
	}
}

// assignment reads key = value.
func (s *scanner) assignment(table string) {
	at := s.here()
	parts := s.key()
	for _, part := range parts {
		table = under(table, part)
		s.note(s.places.keys, table, at)
	}
	s.skip(" \t")
	if s.next() != '=' {
		s.step(1)
		return
	}
	s.step(1)
	s.skip(" \t")
	s.value(table)
}

// key reads a.b."c d", at least one part.
func (s *scanner) key() []string {
	var parts []string
	for {
		s.skip(" \t")
		parts = append(parts, s.part())
		s.skip(" \t")
		if s.next() != '.' {
			return parts
		}
		s.step(1)
	}
}

func (s *scanner) part() string {
	from := s.at
	if c := s.next(); c == '"' || c == '\'' {
		s.quoted()
		raw := s.text[from:s.at]
		if plain, err := strconv.Unquote(raw); err == nil && c == '"' {
			return plain
		}
		return strings.Trim(raw, string(c))
	}
	s.step(max(0, len(s.text[from:])-len(strings.TrimLeft(s.text[from:], bareKey))))
	return s.text[from:s.at]
}

const bareKey = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// quoted passes a text in quotes of any of the four kinds.
func (s *scanner) quoted() {
	quote := s.text[s.at : s.at+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s.text[s.at:], triple) {
		quote = triple
	}
	s.step(len(quote))
	for s.at < len(s.text) {
		switch {
		case s.text[s.at] == '\\' && quote[0] == '"':
			s.step(2)
		case strings.HasPrefix(s.text[s.at:], quote):
			s.step(len(quote))
			for len(quote) == 3 && s.next() == quote[0] { // """" is a quote and the end
				s.step(1)
			}
			return
		default:
			s.step(1)
		}
	}
}

// maxDepth bounds lists in lists: deeper ones are nothing that a key takes.
const maxDepth = 16

// value reads a value and notes its place.
func (s *scanner) value(path string) {
	s.note(s.places.values, path, s.here())
	switch c := s.next(); {
	case c == '"' || c == '\'':
		s.quoted()
	case c == '[' && strings.Count(path, "[") < maxDepth:
		s.step(1)
		s.items(']', func(i int) { s.value(fmt.Sprintf("%s[%d]", path, i)) })
	case c == '{' && strings.Count(path, ".") < maxDepth:
		s.step(1)
		s.items('}', func(int) { s.assignment(path) })
	default:
		s.until(",]}#\n")
	}
}

// items reads what stands between commas, to the bracket that ends it.
func (s *scanner) items(end byte, item func(i int)) {
	for i := 0; s.at < len(s.text); i++ {
		s.skip(" \t\r\n,")
		if s.next() == end || s.at >= len(s.text) {
			s.step(1)
			return
		}
		item(i)
	}
}
