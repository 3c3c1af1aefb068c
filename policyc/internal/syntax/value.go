package syntax

func (s *scanner) value(depth int) *Value {
	if depth > MaxDepth {
		panic(&Error{Off: s.off, Msg: "nested too deeply", TooDeep: true})
	}
	v := s.pool.value()
	v.Off = s.off
	switch s.peek() {
	case '"', '\'':
		v.Kind = String
		s.str()
	case '[':
		v.Kind = Array
		s.list(v, ']', depth)
	case '{':
		v.Kind = Inline
		s.list(v, '}', depth)
	default:
		v.Kind = Plain
		s.plain()
	}
	v.Len = s.off - v.Off
	return v
}

// list reads the elements of an array or an inline table. A comment behind an
// element belongs to it whether it stands before or behind the comma.
func (s *scanner) list(v *Value, end byte, depth int) {
	s.off++
	for {
		s.restOfLine()
		lead := s.lead()
		if s.peek() == end {
			s.off++
			v.Tail = lead
			return
		}
		e := Element{Lead: lead}
		if v.Kind == Inline {
			e.Key = s.key()
			s.want("=")
			s.blanks()
		}
		e.Value = s.value(depth + 1)
		e.Comment = s.trailing()
		s.restOfLine()
		between := s.lead()
		if s.peek() == end {
			s.off++
			v.Elements, v.Tail = append(v.Elements, e), between
			return
		}
		s.want(",")
		switch {
		case hasComment(between):
			// Between an element and its comma: a strange place, but no
			// comment may be lost.
			e.Lead = append(e.Lead, between...)
		case e.Comment == "":
			e.Comment = s.trailing()
		}
		v.Elements = append(v.Elements, e)
	}
}

// restOfLine steps over the end of a line that something stands on, so that it
// is not taken for a blank one.
func (s *scanner) restOfLine() {
	s.blanks()
	s.newline()
}

// str steps over a string in any of the four notations.
func (s *scanner) str() {
	quote := s.text[s.off]
	triple := string([]byte{quote, quote, quote})
	if s.take(triple) {
		s.long(quote, triple)
		return
	}
	s.off++
	for !s.done() && s.peek() != '\n' {
		switch c := s.peek(); {
		case c == quote:
			s.off++
			return
		case c == '\\' && quote == '"':
			s.off += 2
		default:
			s.off++
		}
	}
	s.fail("expected the end of the string")
}

// long steps over the rest of a multi-line string. Up to two quotes may stand
// directly before the closing three.
func (s *scanner) long(quote byte, triple string) {
	for !s.done() {
		switch {
		case s.take(triple):
			for n := 0; n < 2 && s.peek() == quote; n++ {
				s.off++
			}
			return
		case s.peek() == '\\' && quote == '"':
			s.off += 2
		default:
			s.off++
		}
	}
	s.off = len(s.text)
	s.fail("expected the end of the string")
}

// plain steps over a number, truth value or time. A date and its time may be
// separated by one space.
func (s *scanner) plain() {
	start := s.off
	s.word()
	if s.off-start == len("2006-01-02") && s.text[start+4] == '-' && s.timeFollows() {
		s.off++
		s.word()
	}
	if s.off == start {
		s.fail("expected a value")
	}
}

func (s *scanner) timeFollows() bool {
	rest := s.text[s.off:]
	return len(rest) > 3 && rest[0] == ' ' && isDigit(rest[1]) && isDigit(rest[2]) && rest[3] == ':'
}

func (s *scanner) word() {
	for isBare(s.peek()) || s.peek() == '.' || s.peek() == ':' || s.peek() == '+' {
		s.off++
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
