package fragment

// maxSpans is the most spans that pieces of a packet can leave apart.
const maxSpans = MaxPieces / 2

// cover is which bytes of a packet have been seen, as spans that do not touch,
// in order. Of MaxPieces pieces that make a whole packet no more than half can
// have a gap before them at any time.
type cover struct {
	spans [maxSpans]span
	n     uint8
	end   uint16 // of the packet, if the last piece has been seen
	ended bool
}

type span struct{ start, end uint16 }

// fits tells whether a piece can be of the packet: it lies before the end that
// another piece has claimed, and no other is partly where it is. A piece of
// which nothing is new fits; add says so.
func (c *cover) fits(p Piece) bool {
	if c.ended && (p.End > c.end || p.Last && p.End != c.end) {
		return false
	}
	if p.Last && !c.ended && c.n > 0 && c.spans[c.n-1].end > p.End {
		return false
	}
	for i := range c.n {
		s := c.spans[i]
		if within := s.start <= p.Start && p.End <= s.end; within {
			return true
		}
		if p.Start < s.end && s.start < p.End {
			return false
		}
	}
	_, joined := c.place(p)
	return joined || int(c.n) < maxSpans
}

// place returns the span that a new piece goes before, and whether it joins a
// neighbour.
func (c *cover) place(p Piece) (i int, joined bool) {
	for i < int(c.n) && c.spans[i].start < p.Start {
		i++
	}
	joined = i > 0 && c.spans[i-1].end == p.Start || i < int(c.n) && c.spans[i].start == p.End
	return i, joined
}

// add adds a piece that fits, and tells whether any of it is new.
func (c *cover) add(p Piece) bool {
	for _, s := range c.spans[:c.n] {
		if s.start <= p.Start && p.End <= s.end {
			return false
		}
	}
	if p.Last {
		c.end, c.ended = p.End, true
	}
	i, _ := c.place(p)
	before := i > 0 && c.spans[i-1].end == p.Start
	behind := i < int(c.n) && c.spans[i].start == p.End
	switch {
	case before && behind:
		c.spans[i-1].end = c.spans[i].end
		copy(c.spans[i:], c.spans[i+1:c.n])
		c.n--
	case before:
		c.spans[i-1].end = p.End
	case behind:
		c.spans[i].start = p.Start
	default:
		copy(c.spans[i+1:c.n+1], c.spans[i:c.n])
		c.spans[i] = span{p.Start, p.End}
		c.n++
	}
	return true
}

// whole tells whether every byte has been seen.
func (c *cover) whole() bool {
	return c.ended && c.n == 1 && c.spans[0] == span{0, c.end}
}
