package hugemem

import "testing"

// A prefetch changes nothing, and is sound for a row that another goroutine
// writes: the race detector sees no read.
func TestPrefetchReadsNothing(t *testing.T) {
	table, err := Make[row](1000)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	written := make(chan bool)
	go func() {
		defer close(written)
		for i := range table.Rows {
			table.Rows[i].count = uint32(i) + 1
		}
	}()
	which := make([]uint32, len(table.Rows))
	for i := range table.Rows {
		which[i] = uint32(i)
		Prefetch(&table.Rows[i])
	}
	PrefetchRows(table.Rows, which)
	PrefetchRows(table.Rows, nil)
	PrefetchRows(table.Rows, []uint32{1 << 31}) // of no row: nothing is read
	<-written
	for i := range table.Rows {
		Prefetch(&table.Rows[i])
		if table.Rows[i].count != uint32(i)+1 {
			t.Fatalf("row %d is %d", i, table.Rows[i].count)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Prefetch(&table.Rows[1]); PrefetchRows(table.Rows, which) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
