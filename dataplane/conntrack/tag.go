package conntrack

// A tag is a number that a session's user ties to it, of something that is to
// live as long as the session: the address translation it goes through. When
// the session ends, however it ends, Config.Ended is told. Tags lie apart from
// the sessions, four bytes each, which nobody reads of a session that has none.

// SetTag ties a tag, which is not zero, to a session that has none. It returns
// false, and the caller keeps the tag, if the table takes none.
func (t *Table) SetTag(s *Session, tag uint32) bool {
	if t.tags == nil {
		return false
	}
	t.tags[t.index.Row(s.place)] = tag
	s.flags |= flagTagged
	return true
}

// Tag returns a session's tag; zero: it has none.
func (t *Table) Tag(s *Session) uint32 {
	if s.flags&flagTagged == 0 {
		return 0
	}
	return t.tags[t.index.Row(s.place)]
}

// untag takes the tag off a session that ends.
func (t *Table) untag(row uint32) {
	if t.rows[row].flags&flagTagged == 0 {
		return
	}
	t.rows[row].flags &^= flagTagged
	t.ended(t.tags[row])
}
