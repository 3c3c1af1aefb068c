package hugemem

import (
	"sync/atomic"
	"testing"
)

type row struct {
	key   [6]byte
	count uint32
	seen  atomic.Uint64
}

func TestRowsAreZeroWritableAndDistinct(t *testing.T) {
	for _, n := range []int{1, 3, 4096, 300_000} {
		table, err := Make[row](n)
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Populate(); err != nil {
			t.Errorf("%d rows: %v", n, err)
		}
		if len(table.Rows) != n || cap(table.Rows) != n {
			t.Fatalf("len %d, cap %d; want %d", len(table.Rows), cap(table.Rows), n)
		}
		for i := range table.Rows {
			if r := &table.Rows[i]; r.count != 0 || r.key != [6]byte{} || r.seen.Load() != 0 {
				t.Fatalf("row %d of %d is not zero", i, n)
			}
			table.Rows[i].count = uint32(i)
		}
		for i := range table.Rows {
			if table.Rows[i].count != uint32(i) {
				t.Fatalf("row %d of %d overlaps another", i, n)
			}
		}
		if n < 1000 && table.Huge() {
			t.Errorf("%d rows claim huge pages", n)
		}
		for range 2 {
			if err := table.Close(); err != nil || table.Rows != nil {
				t.Errorf("close: rows %v, error %v", table.Rows, err)
			}
		}
	}
}

func TestMakeRefusesWhatIsNoTable(t *testing.T) {
	for _, n := range []int{0, -1, 1 << 62} {
		if _, err := Make[row](n); err == nil {
			t.Errorf("a table of %d rows was made", n)
		}
	}
	if _, err := Make[struct{}](5); err == nil {
		t.Error("a table of rows without size was made")
	}
}

func TestRowsWithPointersPanic(t *testing.T) {
	type hidden [2]struct{ deep struct{ string } }
	for name, try := range map[string]func(){
		"pointer":   func() { Make[*int](1) },
		"string":    func() { Make[string](1) },
		"hidden":    func() { Make[hidden](1) },
		"interface": func() { Make[struct{ e error }](1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			try()
		})
	}
}

func TestRoundUp(t *testing.T) {
	for _, c := range []struct{ n, want int }{{1, 4096}, {4096, 4096}, {4097, 8192}, {hugePage, hugePage}, {hugePage + 1, 2 * hugePage}} {
		if got := roundUp(c.n, 4096); got != c.want {
			t.Errorf("roundUp(%d) = %d, want %d", c.n, got, c.want)
		}
	}
}
