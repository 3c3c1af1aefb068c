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
