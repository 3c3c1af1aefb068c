package classify

import "slices"

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
// has them, each with the bytes of all stages. Their bytes are the engine's.
func (e *Engine) Tables() []Table {
	out := []Table{
		{Name: "classes of identities"}, {Name: "classes of ports"}, {Name: "pairs of classes"}, {Name: "programs"},
		{Name: "shapes"}, {Name: "lists of rules"}, {Name: "verdicts", Bytes: len(e.verdicts) + len(e.marks)},
	}
	if e.audit != nil {
		out = append(out, Table{Name: "tables of audit"})
		for _, t := range e.audit.Tables() {
			out[len(out)-1].Bytes += t.Bytes
		}
	}
	for _, t := range e.tables() {
		for i, n := range t.bytes() {
			out[i].Bytes += n
		}
	}
	return out
}

// tables are the tables of all stages, each once.
func (e *Engine) tables() []*table {
	out := slices.Clone(e.egress)
	for _, t := range e.ingress {
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// bytes are those of a stage, in the order of Engine.Tables.
func (e *table) bytes() [6]int {
	pairs := 0
	for i := range e.pairs {
		for j := range e.pairs[i] {
			pairs += e.pairs[i][j].bytes()
		}
	}
	return [6]int{2 * 8 * e.identities, e.ports.bytes(), pairs, 8 * len(e.programs), len(e.pages) + 4*(len(e.dirs)+len(e.long)), 4 * len(e.rules)}
}

// Stats measures the engine: all of its stages, each once; but for the loads,
// which a stage that both ends share costs twice. Where a rule is under audit the
// loads of that lookup are added, and its tables count as bytes only.
func (e *Engine) Stats() Stats {
	s := Stats{Rules: len(e.verdicts), Identities: e.egress[0].identities - 1}
	for _, t := range e.Tables() {
		s.Bytes += t.Bytes
	}
	for _, t := range e.tables() {
		s.SourceClasses, s.DestClasses = s.SourceClasses+t.stats.SourceClasses, s.DestClasses+t.stats.DestClasses
		s.PortClasses, s.Programs = s.PortClasses+int(t.ports.classes), s.Programs+len(t.programs)
		s.Shapes, s.Pairs = s.Shapes+t.stats.Shapes, s.Pairs+t.stats.Pairs
	}
	for _, t := range slices.Concat(e.egress, e.ingress) {
		s.Touches += t.touches()
	}
	if e.audit != nil {
		s.Touches += e.audit.Stats().Touches + 1 // the mark
	}
	return s
}

// touches counts the loads of a stage: two places, each behind a directory, four
// of ports, the verdict; and for each table the cell and its program, or two buckets,
// then the page and the rule. A directory of pages is one more. Pairs with a
// class that came after the link are in a table of their own: two directories, a
// page and a row, in the place of the cell.
func (e *table) touches() int {
	n := 9
	for i := range e.pairs {
		for j := range e.pairs[i] {
			if e.single && i+j > 0 {
				continue
			}
			n += 4
			if e.paged {
				n++
			}
			if e.pairs[i][j].more != nil {
				n += 3
			}
		}
	}
	return n
}
