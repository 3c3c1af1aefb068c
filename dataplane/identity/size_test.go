package identity

import (
	"net/netip"
	"testing"
	"unsafe"
)

// The table of the outside is as deep as its longest IPv4 prefix asks, but for
// what a wide root has in one step, and as large as its steps.
func TestOutsideSize(t *testing.T) {
	if trieNodeBytes != unsafe.Sizeof(trieNode{}) {
		t.Errorf("a step is %d bytes", unsafe.Sizeof(trieNode{}))
	}
	if none := (&Table{}); none.OutsideTouches() != 0 || none.OutsideBytes() != 0 {
		t.Error("steps in no table")
	}
	for prefix, want := range map[string]int{"0.0.0.0/0": 1, "10.0.0.0/4": 1, "10.0.0.0/8": 2, "10.0.0.0/9": 1, "10.1.0.0/16": 1, "10.1.0.0/17": 2, "10.1.2.3/32": 5, "fd00::/64": 1} {
		b := NewBuilder()
		b.Outside(netip.MustParsePrefix(prefix).Masked(), []uint32{1})
		table, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if got := table.OutsideTouches(); got != want {
			t.Errorf("%s: %d steps, want %d", prefix, got, want)
		}
		wide := 0
		if table.outside.wide != nil {
			wide = 4 * 65536
		}
		if table.OutsideBytes() != 64*len(table.outside.nodes)+wide {
			t.Errorf("%s: %d bytes", prefix, table.OutsideBytes())
		}
	}
}
