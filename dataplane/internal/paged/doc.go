// Package paged holds tables of which one version is read while the next is
// made of it, at the price of what differs.
//
// # Problem
//
// A snapshot never changes, and one endpoint of a million comes or goes. To
// copy the million for it takes a second; to change the table under its readers
// takes a lock, or atomics, from every packet.
//
// # Idea
//
// A table is a directory of pages. A version has its own directory; pages are
// shared by all versions in which they are the same (path copying: Driscoll,
// Sarnak, Sleator and Tarjan, STOC 1986, with a path of length two). The first
// change of a page since the last version copies it, the next ones do not. So a
// version costs the directory, a pointer a page, and the pages it changed.
//
// [Vector] is an array. [Index] finds numbers by hash: extendible hashing
// (Fagin, Nievergelt, Pippenger and Strong, TODS 1979). The high bits of a
// hash choose a page, and within it the low bits a slot, from which at most 16
// are looked at. A page that a number finds no such slot in is split in two,
// and the directory doubled if need be: no insertion ever moves more than a
// page, however large the table. Removal closes the gap (Knuth, TAOCP 3, 6.4,
// algorithm R), so there are no tombstones and no look-up becomes longer by what
// once was there.
//
// # Bounds
//
// A look-up is a load of the directory and one of a page; of an index at most
// 16 slots, two or three lines. Pages are not given back: a table takes what
// it took when it was largest. The old versions' own pages go when nobody has
// the version any more.
//
// # Goroutines
//
// A Vector or an Index is immutable, and any number of goroutines read it. Its
// editor belongs to one at a time.
package paged
