package hugemem

import (
	"fmt"
	"os"
	"reflect"
)

// Size returns how much memory n rows take in memory that is somebody else's, in
// bytes: whole pages, and from one huge page on whole huge pages.
func Size[T any](n int) int {
	return roundUp(n*int(reflect.TypeFor[T]().Size()), os.Getpagesize())
}

// Over makes a table of n rows over memory that is somebody else's, and returns what
// is left of that behind it. Close lets go of it and does not give it back; the rows
// are what the memory holds. It must begin at a page, and outlive the table. T must
// not hold a pointer, and every value of its bytes must be one of T's: so no bool.
func Over[T any](mem []byte, n int) (t *Table[T], rest []byte, err error) {
	row := reflect.TypeFor[T]()
	if hasPointer(row) || hasBool(row) {
		panic(fmt.Sprintf("hugemem: rows of %v hold pointers, or what not every byte is", row))
	}
	size := Size[T](n)
	if n <= 0 || size > len(mem) {
		return nil, nil, fmt.Errorf("%d rows of %v in %d bytes: they take %d", n, row, len(mem), size)
	}
	return &Table[T]{Rows: view[T](mem[:size:size], n), mem: mem[:size:size], lent: true}, mem[size:], nil
}

// hasBool tells whether there are bytes that are no value of t.
func hasBool(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool:
		return true
	case reflect.Array:
		return hasBool(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasBool(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}
