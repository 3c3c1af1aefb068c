package classify

import (
	"fmt"
	"slices"

	"bulkhead/dataplane/policy"
)

const (
	maxPortCells = 1 << 22 // of the three axes' product: 16 MiB
	maxPortWork  = 1 << 31 // cells named, over all lists of ports: seconds
)

// portTable gives a transport header its port class. Each axis (source port,
// destination port, protocol) is cut where a port of any rule begins or ends;
// a cell of the three is named by the same rules' ports throughout, and cells
// that are named alike are one class.
type portTable struct {
	src, dst *[1 << 16]uint16 // axis class of each port
	proto    [256]uint16
	cells    []uint32
	dsts     uint32
	protos   uint32
	classes  uint32
}

func (t *portTable) class(proto uint8, sport, dport uint16) uint32 {
	return t.cells[(uint32(t.src[sport])*t.dsts+uint32(t.dst[dport]))*t.protos+uint32(t.proto[proto])]
}

func (t *portTable) bytes() int { return 2*(len(t.src)+len(t.dst)) + 2*256 + 4*len(t.cells) }

// run is a stretch of port classes, hi excluded.
type run struct{ lo, hi uint32 }

// portLists is every distinct list of ports that a rule has.
type portLists struct {
	table portTable
	of    []uint32        // by rule: its list
	lists [][]policy.Port // by list
	total []bool          // by list: it names every header
	runs  [][]run         // by list: the classes it names

	srcs, dsts *axis
	cells      *partition
	seen       []uint32 // by cell: the list it was last found in, plus one
	bufS, bufD []uint32
}

// buildPorts makes the table of all ports of the rules.
func buildPorts(rs *policy.Ruleset) (*portLists, error) {
	l := &portLists{}
	l.collect(rs)
	var srcs, dsts []span
	for _, list := range l.lists {
		for _, p := range list {
			srcs, dsts = append(srcs, span{p.SrcLo, p.SrcHi}), append(dsts, span{p.DstLo, p.DstHi})
		}
	}
	l.srcs, l.dsts = newAxis(srcs), newAxis(dsts)
	l.table.src, l.table.dst, l.table.dsts = l.srcs.of, l.dsts.of, l.dsts.classes
	l.cutProtos()
	l.fold()
	cells := int(l.srcs.classes) * int(l.dsts.classes) * int(l.table.protos)
	if cells > maxPortCells {
		return nil, fmt.Errorf("rules tell %d source ranges x %d destination ranges x %d protocols apart: %d cells are more than the %d there is memory for; name fewer source ports",
			l.srcs.classes, l.dsts.classes, l.table.protos, cells, maxPortCells)
	}
	return l, l.refine(cells)
}

// collect numbers the lists.
func (l *portLists) collect(rs *policy.Ruleset) {
	var known interner
	var key []uint32
	for i := range rs.Rules {
		ports := rs.Rules[i].Ports
		key = key[:0]
		for _, p := range ports {
			key = append(key, uint32(p.Proto), uint32(p.SrcLo)<<16|uint32(p.SrcHi), uint32(p.DstLo)<<16|uint32(p.DstHi))
		}
		n := known.number(key)
		if int(n) == len(l.lists) {
			l.lists = append(l.lists, ports)
			l.total = append(l.total, slices.ContainsFunc(ports, func(p policy.Port) bool { return p.Proto == policy.AnyProto }))
		}
		l.of = append(l.of, n)
	}
}

// cutProtos puts protocols that every list treats alike into one class; class
// 0 is what no list names by number.
func (l *portLists) cutProtos() {
	var named [256][]uint32
	for i, list := range l.lists {
		for _, p := range list {
			if p.Proto < 256 {
				named[p.Proto] = append(named[p.Proto], uint32(i), uint32(p.SrcLo)<<16|uint32(p.SrcHi), uint32(p.DstLo)<<16|uint32(p.DstHi))
			}
		}
	}
	var known interner
	known.number(nil)
	for proto := range named {
		l.table.proto[proto] = uint16(known.number(named[proto]))
	}
	l.table.protos = uint32(known.len())
}

// fold leaves out of each list the ports of protocols that are one class with
// that of another of the same ranges: they name the same cells. A list for a
// range of ports of any protocol names 256, of a few classes.
func (l *portLists) fold() {
	for i, list := range l.lists {
		if l.total[i] || len(list) == 1 {
			continue // its cells are not visited, or once
		}
		known := make(map[policy.Port]bool, len(list))
		var kept []policy.Port
		for _, p := range list {
			class := p
			class.Proto = l.table.proto[p.Proto]
			if !known[class] {
				known[class] = true
				kept = append(kept, p)
			}
		}
		l.lists[i] = kept
	}
}

// refine makes the classes of cells, and the runs of classes of each list.
func (l *portLists) refine(cells int) error {
	if l.work() > maxPortWork {
		return fmt.Errorf("%d lists of ports name more than %d places, those that overlap each time: name fewer, or narrower, ranges", len(l.lists), maxPortWork)
	}
	l.cells, l.seen = newPartition(cells), make([]uint32, cells)
	for i := range l.lists {
		if l.total[i] {
			continue // it tells nothing apart
		}
		l.cells.begin()
		l.eachCell(uint32(i), l.cells.take)
	}
	l.table.classes = l.cells.number()
	l.table.cells = l.cells.class
	clear(l.seen)
	found := make([]uint32, l.table.classes)
	l.runs = make([][]run, len(l.lists))
	for i := range l.lists {
		l.runs[i] = l.runsOf(uint32(i), found)
	}
	return nil
}

// work is how many cells the lists name, one that several ports of a list name
// counted for each.
func (l *portLists) work() (n int) {
	for i, list := range l.lists {
		if l.total[i] {
			continue
		}
		for _, p := range list {
			l.bufS, l.bufD = l.srcs.in(l.bufS[:0], span{p.SrcLo, p.SrcHi}), l.dsts.in(l.bufD[:0], span{p.DstLo, p.DstHi})
			if n += len(l.bufS) * len(l.bufD); n > maxPortWork {
				return n
			}
		}
	}
	return n
}

// eachCell visits the cells that a list names, each once.
func (l *portLists) eachCell(list uint32, visit func(cell uint32)) {
	for _, p := range l.lists[list] {
		l.bufS, l.bufD = l.srcs.in(l.bufS[:0], span{p.SrcLo, p.SrcHi}), l.dsts.in(l.bufD[:0], span{p.DstLo, p.DstHi})
		proto := uint32(l.table.proto[p.Proto&255])
		for _, s := range l.bufS {
			for _, d := range l.bufD {
				cell := (s*l.table.dsts+d)*l.table.protos + proto
				if l.seen[cell] != list+1 {
					l.seen[cell] = list + 1
					visit(cell)
				}
			}
		}
	}
}

// runsOf returns the classes that a list names. found has, by class, the list
// it was last found in, plus one.
func (l *portLists) runsOf(list uint32, found []uint32) []run {
	if l.total[list] {
		return []run{{0, l.table.classes}}
	}
	var classes []uint32
	l.eachCell(list, func(cell uint32) {
		if c := l.table.cells[cell]; found[c] != list+1 {
			found[c] = list + 1
			classes = append(classes, c)
		}
	})
	slices.Sort(classes)
	var out []run
	for _, c := range classes {
		if n := len(out); n > 0 && out[n-1].hi == c {
			out[n-1].hi++
			continue
		}
		out = append(out, run{c, c + 1})
	}
	return out
}
