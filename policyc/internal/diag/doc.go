// Package diag holds what the compiler has to say about a policy: where,
// what is wrong, what was probably meant and how to cure it.
//
// A pass never stops at the first mistake. It adds to a List and goes on with
// what it can still understand, so that one run reports everything. A later
// pass runs only when an earlier one left no error, because what it would say
// about half-understood source would be noise.
//
// The package neither reads files nor decides exit codes. A List belongs to
// one goroutine.
package diag
