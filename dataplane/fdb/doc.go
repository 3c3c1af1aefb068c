// Package fdb is the forwarding database: behind which port or peer a MAC is
// that no endpoint is bound to.
//
// MACs of workloads are bound, not learned; what is learned comes from peers
// and from segments that ask for it. So the table is small, and whoever floods
// it with source addresses must hurt only himself.
//
// # Bounds and fairness
//
// The table is allocated once. Each holder, that is a port or a peer, may have
// so many learned MACs; one more makes the holder's own least recently seen go
// (a clock over its entries in the order they were learned, which passes over
// those seen since it last came by). When the table itself or both buckets of
// a MAC are full, the victim is, among the at most 14 entries in the way, the
// oldest of the holder that has most of all, if that has more than the learner
// would; else nothing is learned. Entries are spread by a keyed hash, so a
// sample of 14 nearly always shows the glutton. Static entries are charged to
// nobody, never age, and never move or go by learning.
//
// # Layout
//
// An entry is two words: segment and MAC are 64 bits together, and so are
// destination, time and static mark. A bucket is seven keys and a version in
// one cache line, seven values in the next; a MAC has two buckets, so a look-up
// compares at most 14 keys.
//
// # Goroutines
//
// Lookup takes no lock and never waits: it reads key, value, and then the
// bucket's version again; when a writer was there it tries again, a bounded
// number of times, and then takes the mutex. Learn of a MAC that is where it
// was is a look-up, plus one compare-and-swap a second to note the time. All
// else holds the mutex. Time is an argument, in nanoseconds of a monotonic
// clock; inside it is counted in 2^30 ns.
package fdb
