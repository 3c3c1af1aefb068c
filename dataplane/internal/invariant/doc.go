// Package invariant checks what must be true of our own data structures, in
// builds with the tag "invariant"; otherwise it is nothing: [Enabled] is a
// false constant, so that what stands behind it is not compiled, and [Owner]
// has no size.
//
//	if invariant.Enabled && row.state == free {
//		invariant.Broken("row %d is free", n)
//	}
//
// A check is for a broken promise of our own code, never for input. It panics.
//
//	go test -tags invariant ./dataplane/...
package invariant
