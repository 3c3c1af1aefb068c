// Package hugemem gives tables memory that the garbage collector does not
// see: zeroed, page-aligned, in huge pages where the kernel has them, and left
// out of core dumps, since it holds what other people sent.
//
// A table of a million rows walked at random misses the TLB on nearly every
// access when it lies in 4 KiB pages; huge pages make most of those misses go
// away. They are asked for, not insisted on: [Table.Huge] tells the outcome.
//
// Pages come into being when first touched, so a large table costs nothing
// until it is used; [Table.Populate] makes them all at once, for who wants a
// resident set that traffic cannot grow.
//
// [Over] makes a table of memory that the caller has, and that may outlive the process:
// a memory file that another one holds as well.
//
// [Prefetch] has a row fetched before it is needed: one instruction of assembly
// on amd64 and arm64, nothing elsewhere.
//
// [Make] and Close are for start and shutdown, from one goroutine. How the
// rows may be used is up to the table built on them.
package hugemem
