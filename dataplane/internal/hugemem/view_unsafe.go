package hugemem

import "unsafe"

// sizeOf returns the size of a row in bytes.
func sizeOf[T any]() int {
	var row T
	return int(unsafe.Sizeof(row))
}

// view returns mem as n rows. Sound because mem is page-aligned, which is
// enough for any T; because it holds n rows at least, as makeTable computed;
// because T has no pointers, as Make checked, so any bytes are a valid row and
// the collector need not see them; and because mem stays mapped until Close,
// after which the caller may not use the rows.
func view[T any](mem []byte, n int) []T {
	_ = mem[n*sizeOf[T]()-1]
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), n)
}
