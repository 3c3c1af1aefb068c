package classify

import (
	"encoding/binary"
	"slices"

	"bulkhead/dataplane/policy"
)

// portTable gives a transport header its port class. Each axis (source port,
// destination port, protocol) is cut where a port of any rule begins or ends;
// a cell of the three is named by the same ports throughout, and cells that
// are named alike are one class. Class 0 is named by none.
type portTable struct {
	src, dst []uint16 // axis interval of each of the 65,536 ports
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

// buildPorts makes the table of all distinct ports, and returns with it the
// classes that each of them names.
func buildPorts(ports []policy.Port) (t portTable, named [][]uint32) {
	t.src, t.dst = make([]uint16, 65536), make([]uint16, 65536)
	srcs := cutAxis(t.src, ports, func(p policy.Port) (lo, hi uint16) { return p.SrcLo, p.SrcHi })
	dsts := cutAxis(t.dst, ports, func(p policy.Port) (lo, hi uint16) { return p.DstLo, p.DstHi })
	protos := cutProtos(&t.proto, ports)
	t.dsts, t.protos = uint32(dsts), uint32(protos)
	t.cells = make([]uint32, srcs*dsts*protos)
	members := make([][]byte, len(t.cells))
	for i, p := range ports {
		t.eachCell(p, func(cell int) {
			members[cell] = binary.LittleEndian.AppendUint32(members[cell], uint32(i))
		})
	}
	t.classes = 1
	known := map[string]uint32{"": 0}
	named = make([][]uint32, len(ports))
	for cell, m := range members {
		class, have := known[string(m)]
		if !have {
			class = t.classes
			t.classes++
			known[string(m)] = class
			for ; len(m) > 0; m = m[4:] {
				i := binary.LittleEndian.Uint32(m)
				named[i] = append(named[i], class)
			}
		}
		t.cells[cell] = class
	}
	return t, named
}

// cutAxis numbers the elementary intervals of one axis, and returns how many
// there are. 65,535 + 1 is a boundary, too: 32 bits hold it.
func cutAxis(axis []uint16, ports []policy.Port, span func(policy.Port) (lo, hi uint16)) int {
	cuts := []uint32{0, 65536}
	for _, p := range ports {
		lo, hi := span(p)
		cuts = append(cuts, uint32(lo), uint32(hi)+1)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i := range len(cuts) - 1 {
		for port := cuts[i]; port < cuts[i+1]; port++ {
			axis[port] = uint16(i)
		}
	}
	return len(cuts) - 1
}

// cutProtos numbers the protocols that ports name; 0 is every other.
func cutProtos(axis *[256]uint16, ports []policy.Port) int {
	n := 1
	for _, p := range ports {
		if p.Proto < 256 && axis[p.Proto] == 0 {
			axis[p.Proto] = uint16(n)
			n++
		}
	}
	return n
}

// eachCell visits the cells that a port names.
func (t *portTable) eachCell(p policy.Port, visit func(cell int)) {
	for s := int(t.src[p.SrcLo]); s <= int(t.src[p.SrcHi]); s++ {
		for d := int(t.dst[p.DstLo]); d <= int(t.dst[p.DstHi]); d++ {
			row := (s*int(t.dsts) + d) * int(t.protos)
			if p.Proto < 256 {
				visit(row + int(t.proto[p.Proto]))
				continue
			}
			for proto := range int(t.protos) {
				visit(row + proto)
			}
		}
	}
}

// distinctPorts returns every port of the rules once, sorted, and the number
// of each.
func distinctPorts(rs *policy.Ruleset) ([]policy.Port, map[policy.Port]int) {
	number := map[policy.Port]int{}
	var all []policy.Port
	for i := range rs.Rules {
		for _, p := range rs.Rules[i].Ports {
			if _, have := number[p]; !have {
				number[p] = 0
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, policy.ComparePort)
	for i, p := range all {
		number[p] = i
	}
	return all, number
}
