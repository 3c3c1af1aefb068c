// Package hashtab holds what hash tables over packet bytes share: a keyed hash
// and a bounded index.
//
// # The hash
//
// Whoever sends packets chooses the keys of our tables, so an unkeyed hash is
// an invitation: keys that all fall into one bucket are found offline and sent
// at line rate. The hash here is a 128-bit multiply, folded (the high half
// xored into the low), of the input xored with words of a [Secret] drawn at
// start and never shown. Without the secret nobody can tell which keys meet.
// It costs one 64x64 multiplication for 16 bytes (see BenchmarkFlow) and needs
// no assembly. It is not a MAC: nothing that leaves the switch may be derived
// from it.
//
// # The index
//
// [Index] maps a hash to row numbers of an array that the caller keeps. Each
// hash names two buckets of eight tags, a cache line each, so a lookup looks
// at no more than 16 tags, full or not, friendly keys or not. A new row goes
// into its first bucket while that has room to spare, else into the emptier of
// the two: at four rows a bucket on average, the load at which [NewIndex]
// sizes it, an insertion that finds both full is rarer than one in a million
// (TestTwoChoicesRarelyFail). Nothing is ever moved, so a row's place is
// stable and removal is one store.
//
// # Goroutines
//
// Secret is immutable once drawn. Index belongs to one goroutine at a time.
package hashtab
