package analyze

// rect is a rectangle of a relation in words, and one pair of it that no
// earlier rectangle holds.
type rect struct {
	from, to []string
	at       [2]int
}

// candidate is a largest rectangle of a relation: destinations that some source
// has, and all sources that have them.
type candidate struct {
	columns, rows bitset
	gain          int // at most this many pairs are new
}

// rectangles covers a relation with few rectangles, the largest gain first.
// Each row's own destinations with all rows that have them are a candidate, so
// all is covered, exactly. Pairs that cannot exist may be covered: that is what
// lets "any" be said of a network of one family.
func (s *Space) rectangles(r relation) []rect {
	todo := relation{}
	for from, columns := range r {
		todo[from] = columns.clone()
	}
	wild := s.strangers()
	list := s.candidates(r, wild)
	var out []rect
	for {
		c := next(list, todo)
		if c == nil {
			return out
		}
		out = append(out, s.tick(c, r, todo, wild))
	}
}

// strangers are, by families, the classes that share none with them.
func (s *Space) strangers() [4]bitset {
	var out [4]bitset
	for m := range out {
		out[m] = newBits(len(s.classes))
		for i := range s.classes {
			if s.classes[i].families&families(m) == 0 {
				out[m].add(i)
			}
		}
	}
	return out
}

func (s *Space) candidates(r relation, wild [4]bitset) []*candidate {
	known := map[string]bool{}
	var out []*candidate
	rows := r.rows()
	for _, from := range rows {
		key := r[from].key()
		if known[key] {
			continue
		}
		known[key] = true
		c := &candidate{columns: r[from], rows: newBits(len(s.classes))}
		for _, other := range rows {
			if within(c.columns, r[other], wild[s.classes[other].families]) {
				c.rows.add(other)
				c.gain += c.columns.countAnd(r[other])
			}
		}
		out = append(out, c)
	}
	return out
}

// within tells whether a is in b and c together.
func within(a, b, c bitset) bool {
	for i := range a {
		if a[i]&^(b[i]|c[i]) != 0 {
			return false
		}
	}
	return true
}

// next is the candidate that covers most of what is left. A gain only falls, so
// one that is the largest after it was counted anew is the largest.
func next(list []*candidate, todo relation) *candidate {
	for {
		var best *candidate
		for _, c := range list {
			if c.gain > 0 && (best == nil || c.gain > best.gain) {
				best = c
			}
		}
		if best == nil {
			return nil
		}
		gain := 0
		best.rows.each(func(from int) { gain += todo[from].countAnd(best.columns) })
		if gain == best.gain {
			return best
		}
		best.gain = gain
	}
}

// tick puts a candidate in words and ticks off what these words cover.
func (s *Space) tick(c *candidate, r, todo relation, wild [4]bitset) rect {
	rows, columns := newBits(len(s.classes)), newBits(len(s.classes))
	out := rect{at: [2]int{-1, -1}}
	c.rows.each(func(from int) {
		if new := todo[from].clone().and(c.columns); !new.empty() {
			rows.add(from)
			columns.or(new)
			if out.at[0] < 0 {
				out.at = [2]int{from, new.first()}
			}
		}
	})
	sources := s.describe(rows, c.rows.clone().or(s.without(c.columns, wild)))
	used := s.classesOf(sources.atoms)
	may := newBits(len(s.classes)).not(len(s.classes))
	used.each(func(from int) {
		fits := wild[s.classes[from].families].clone()
		if r[from] != nil {
			fits.or(r[from])
		}
		may.and(fits)
	})
	out.from, out.to = sources.terms, s.describe(columns, may).terms
	used.each(func(from int) {
		if todo[from] != nil {
			todo[from].minus(c.columns)
		}
	})
	return out
}

// without are the classes that can meet none of these destinations.
func (s *Space) without(columns bitset, wild [4]bitset) bitset {
	out := newBits(len(s.classes))
	for i := range s.classes {
		if columns.within(wild[s.classes[i].families]) {
			out.add(i)
		}
	}
	return out
}
