package hugemem

import (
	"fmt"
	"math"
	"reflect"
)

// hugePage is the size of a huge page, in bytes, on amd64 and on arm64 with
// 4 KiB pages.
const hugePage = 2 << 20

// Table is n rows of T in one mapping.
type Table[T any] struct {
	// Rows are the rows, zero at first. No slice of them, nor a pointer into
	// them, may be used after Close.
	Rows []T

	mem  []byte // the whole mapping; nil when Rows is garbage-collected memory
	huge bool
	lent bool // mem is somebody else's
}

// Make maps n rows. T must not hold a pointer, which the garbage collector
// could not see there; Make panics if it does. It fails if n is not positive
// or the kernel has no memory to give.
func Make[T any](n int) (*Table[T], error) {
	row := reflect.TypeFor[T]()
	if hasPointer(row) {
		panic(fmt.Sprintf("hugemem: rows of %v hold pointers", row))
	}
	if n <= 0 || row.Size() == 0 || n > (math.MaxInt-hugePage)/int(row.Size()) {
		return nil, fmt.Errorf("map %d rows of %v: not a table", n, row)
	}
	return makeTable[T](n)
}

// Huge tells whether the kernel took the wish for huge pages. Tables smaller
// than one never ask.
func (t *Table[T]) Huge() bool { return t.huge }

// Bytes returns the size of the mapping, in bytes.
func (t *Table[T]) Bytes() int { return len(t.mem) }

// hasPointer tells whether the garbage collector would have to look into t.
func hasPointer(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return false
	case reflect.Array:
		return t.Len() > 0 && hasPointer(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointer(t.Field(i).Type) {
				return true
			}
		}
		return false
	default:
		return true
	}
}

// roundUp returns n rounded up to pages; from one huge page on to whole huge
// pages, because Linux aligns only such mappings so that huge pages fit.
func roundUp(n, page int) int {
	if n >= hugePage {
		page = hugePage
	}
	return (n + page - 1) / page * page
}
