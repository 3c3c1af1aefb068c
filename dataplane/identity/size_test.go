package identity

import (
	"net/netip"
	"reflect"
	"testing"
)

// The table of the outside is as large as its steps, and as deep as they are known
// to be: arrays, nodes that bits choose, and trees of nodes where ranges crowd.
func TestOutsideSize(t *testing.T) {
	if size := reflect.TypeFor[node]().Size(); nodeBytes != size {
		t.Errorf("a node is %d bytes", size)
	}
	if none := (&Table{}); none.OutsideTouches() != 0 || none.OutsideBytes() != 0 {
		t.Error("steps in no table")
	}
	for _, c := range []struct {
		prefix string
		times  int // the prefix, and those after it of its length
		arrays int // lines, with arrays of bytes
		nodes  int // and with nodes
	}{
		{"0.0.0.0/0", 1, 0, 0}, {"10.0.0.0/8", 1, 3, 2}, {"10.1.0.0/16", 1, 3, 2}, {"10.1.2.3/32", 1, 3, 2}, {"fd00::/64", 1, 0, 0},
		{"10.1.0.0/32", 8, 3, 2},     // one node of 9 ranges
		{"10.1.0.0/32", 20, 3, 3},    // that close together a tree
		{"10.1.0.0/26", 1000, 3, 2},  // spread over the piece, so some bits choose the node
		{"10.1.0.0/32", 60000, 3, 2}, // as close as can be, and it is full
		{"10.1.0.0/32", 6000, 3, 3},
	} {
		list := []outsidePrefix{{netip.MustParsePrefix("0.0.0.0/0"), 1}}
		a := netip.MustParsePrefix(c.prefix)
		for i := range c.times {
			list = append(list, outsidePrefix{a, ID(2 + i)})
			a = netip.PrefixFrom(lastOf(a).Next(), a.Bits())
		}
		for blocks, want := range map[int]int{maxBlocks: c.arrays, 0: c.nodes} {
			p := newPrefixes(list, blocks)
			table := &Table{outside: p}
			if got := table.OutsideTouches(); got != want {
				t.Errorf("%d of %s: %d lines, want %d", c.times, c.prefix, got, want)
			}
			bytes := 64*len(p.nodes) + 4*len(p.blocks)
			if p.wide != nil {
				bytes += 4 * 65536
			}
			if table.OutsideBytes() != bytes || len(p.blocks) > 256*maxBlocks {
				t.Errorf("%s: %d bytes", c.prefix, table.OutsideBytes())
			}
		}
	}
}
