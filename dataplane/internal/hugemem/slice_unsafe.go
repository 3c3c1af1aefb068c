package hugemem

import (
	"fmt"
	"unsafe"
)

// Slice maps memory for n values of T and returns them, zeroed. T must hold no
// pointer: the garbage collector does not see this memory. They are valid
// until the mapping is closed.
func Slice[T any](n int) ([]T, Mapping, error) {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if n < 0 || size != 0 && n > (1<<46)/size {
		return nil, Mapping{}, fmt.Errorf("a table of %d entries is out of bounds", n)
	}
	m, err := mapBytes(n * size)
	if err != nil {
		return nil, Mapping{}, err
	}
	// Sound: the mapping is page-aligned, at least n*size bytes long, zeroed,
	// and outlives the slice by this function's contract.
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(m.bytes))), n), m, nil
}
