package vswitch

import (
	"cmp"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// sorted returns the endpoints by name, so that what is built from them is
// the same each time. They are copies of those in the roster.
//
// A name lies somewhere in memory, and to compare a million of them twenty times
// over is to wait for it. So their first bytes behind what all have in common stand
// beside each other, and are nearly always enough.
func (r roster) sorted() []*endpoint {
	all := make([]endpoint, 0, len(r))
	for _, e := range r {
		all = append(all, e)
	}
	common := len(commonPrefix(all))
	order := make([]inOrder, len(all))
	for i := range all {
		order[i] = inOrder{head(all[i].Name[common:]), &all[i]}
	}
	out := make([]*endpoint, len(all))
	for i, o := range sortHalves(order) {
		out[i] = o.e
	}
	return out
}

// inOrder is an endpoint with the first bytes of its name.
type inOrder struct {
	head uint64
	e    *endpoint
}

func compareOrder(a, b inOrder) int {
	if a.head != b.head {
		return cmp.Compare(a.head, b.head)
	}
	return strings.Compare(a.e.Name, b.e.Name)
}

// commonPrefix is what all names begin with.
func commonPrefix(all []endpoint) string {
	if len(all) == 0 {
		return ""
	}
	common := all[0].Name
	for i := range all {
		for !strings.HasPrefix(all[i].Name, common) {
			common = common[:len(common)-1]
		}
	}
	return common
}

// head is the first eight bytes of a name, and zeros where there are fewer: of two
// that differ the less is of the name that is first.
func head(name string) uint64 {
	var b [8]byte
	copy(b[:], name)
	return binary.BigEndian.Uint64(b[:])
}

// sortHalves sorts each half on a processor of its own, if there are several, and
// merges them.
func sortHalves(order []inOrder) []inOrder {
	if len(order) < 1000 || runtime.GOMAXPROCS(0) == 1 {
		slices.SortFunc(order, compareOrder)
		return order
	}
	a, b := order[:len(order)/2], order[len(order)/2:]
	var wait sync.WaitGroup
	wait.Go(func() { slices.SortFunc(a, compareOrder) })
	slices.SortFunc(b, compareOrder)
	wait.Wait()
	out := make([]inOrder, 0, len(order))
	for len(a) > 0 && len(b) > 0 {
		if compareOrder(a[0], b[0]) <= 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
