//go:build amd64 || arm64

package hugemem

import "unsafe"

// prefetch has the processor fetch the cache line that p is in. It reads
// nothing that the program could see, so it is sound for any address, also of
// memory that another goroutine writes.
//
//go:noescape
func prefetch(p unsafe.Pointer)

// Prefetch has the processor fetch the cache line in which the row at p begins,
// and does not wait for it: a later read finds it near. It is no read, so it
// needs no lock. Where there is no such instruction it does nothing.
func Prefetch[T any](p *T) { prefetch(unsafe.Pointer(p)) }

// prefetchRows is prefetch of rows of size bytes behind base: of the first line of
// each, or of the first two where a row is longer than a line. It reads the n
// numbers and nothing else; that a number is one of no row is as sound.
//
//go:noescape
func prefetchRows(base unsafe.Pointer, size uintptr, rows *uint32, n int)

// PrefetchRows is Prefetch of many rows of a table with one call: of each its first
// 128 bytes.
func PrefetchRows[T any](table []T, rows []uint32) {
	prefetchRows(unsafe.Pointer(unsafe.SliceData(table)), unsafe.Sizeof(*new(T)), unsafe.SliceData(rows), len(rows))
}
