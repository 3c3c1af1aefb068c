package classify

// Stats is how large an engine is.
type Stats struct {
	Rules         int
	Identities    int
	SourceClasses int // broad ones and narrow ones
	DestClasses   int
	PortClasses   int
	Programs      int
	Shapes        int
	Pairs         int // in sparse tables
	Bytes         int // of all tables
	Touches       int // loads a lookup, at the most
}

// Stats measures the engine.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Rules, s.Identities = len(e.verdicts), len(e.src)-1
	s.PortClasses, s.Programs = int(e.ports.classes), len(e.programs)
	s.Bytes = 8*(len(e.src)+len(e.dst)) + e.ports.bytes() +
		8*len(e.programs) + 4*(len(e.dirs)+len(e.pages)+len(e.rules)) + len(e.verdicts)
	for i := range e.pairs {
		for j := range e.pairs[i] {
			s.Bytes += e.pairs[i][j].bytes()
		}
	}
	s.Touches = e.touches()
	return s
}

// touches counts the loads of Decide: two places, four of ports, the verdict;
// and for each table the cell, the program, the page, the rule. A directory of
// pages is one more, and so is the second bucket of a sparse table.
func (e *Engine) touches() int {
	n := 7
	for i := range e.pairs {
		for j := range e.pairs[i] {
			if e.single && i+j > 0 {
				continue
			}
			n += 4
			if e.paged {
				n++
			}
			if e.pairs[i][j].cells == nil {
				n++
			}
		}
	}
	return n
}
