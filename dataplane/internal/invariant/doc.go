// Package invariant checks what must be true of our own data structures, in
// builds with the tag "invariant"; otherwise it is nothing: [Check] compiles
// to no code, [Owner] has no size.
//
// A check is for a broken promise of our own code, never for input. It panics.
//
//	go test -tags invariant ./dataplane/...
package invariant
