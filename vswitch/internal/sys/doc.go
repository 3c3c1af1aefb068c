// Package sys is the switch's door to the kernel, for what is neither a port's
// own business nor the standard library's: network namespaces, mapped memory
// for frames, and waiting for descriptors.
//
// It promises small functions that do one thing, wrap every error with what
// was attempted and, where there is one, the cure, and leave nothing behind
// when they fail. It does not hide the kernel: descriptors are ints, memory is
// a []byte, and who opened a thing closes it.
//
// Everything here is for opening, closing and sleeping, never for a frame.
// Functions may be called from any goroutine; a type says who may call its
// methods.
package sys
