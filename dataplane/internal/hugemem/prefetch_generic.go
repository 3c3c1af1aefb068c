//go:build !amd64 && !arm64

package hugemem

// Prefetch would have the processor fetch the cache line at p; here it does
// nothing.
func Prefetch[T any](p *T) {}

// PrefetchRows does nothing either.
func PrefetchRows[T any](table []T, rows []uint32) {}
