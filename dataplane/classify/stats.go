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

// Table is one of an engine's tables.
type Table struct {
	Name  string
	Bytes int
}

// Tables returns the tables in the order of a lookup, as the package comment
// has them. Their bytes are the engine's.
func (e *Engine) Tables() []Table {
	pairs := 0
	for i := range e.pairs {
		for j := range e.pairs[i] {
			pairs += e.pairs[i][j].bytes()
		}
	}
	return []Table{
		{"classes of identities", 8 * (len(e.src) + len(e.dst))},
		{"classes of ports", e.ports.bytes()},
		{"pairs of classes", pairs},
		{"programs", 8 * len(e.programs)},
		{"shapes", 4 * (len(e.dirs) + len(e.pages))},
		{"lists of rules", 4 * len(e.rules)},
		{"verdicts", len(e.verdicts)},
	}
}

// Stats measures the engine.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Rules, s.Identities = len(e.verdicts), len(e.src)-1
	s.PortClasses, s.Programs = int(e.ports.classes), len(e.programs)
	for _, t := range e.Tables() {
		s.Bytes += t.Bytes
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
