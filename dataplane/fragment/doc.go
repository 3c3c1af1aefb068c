// Package fragment remembers the IP packets of which only some fragments have
// come: what the first one said they are, which of their bytes have been seen,
// and fragments that came before the first.
//
// # Why
//
// Only a packet's first fragment has its ports; the policy cannot judge the
// others. To put packets together, judge them and cut them again, as a host
// does, needs 64 KiB for each, a copy of all, and makes who is judged choose
// when. Instead fragments go on one by one, and the table makes the later ones
// look like the first: they get its ports, and are judged as it was. So a
// revoked rule acts on the next fragment, as it does on the next packet.
//
// # What passes
//
//	fragment                                 what becomes of it
//	the first, and the policy allows it      it passes, and so do those held
//	the first, and it is not allowed         it is dropped, and so are all others
//	a later one, the first has passed        it is judged with the ports of the first
//	a later one, the first has not come      it is held
//	overlaps another, in part                it is dropped, and all that come after
//	has no byte that is new                  it is dropped: sent twice, or forged
//
// An overlap is how a port or a flag that was judged is written over at the
// receiver (RFC 1858 4, RFC 3128); RFC 5722 has it end the packet, in IPv4 too.
// What passed before has not all of the packet, or there would be no overlap.
// A packet is told by its addresses, its ID, its protocol in IPv4, and where it
// comes from: nobody can speak of another's packets.
//
// # Bounds
//
// Packets and memory for held fragments are allocated once. A holder, which is a
// port or a peer, may have so many of each; beyond that its fragments are
// dropped, and nobody else's. A packet has at most 64 fragments (a larger one is
// overlap's equal), and 5 s from its first fragment to its last: then it is
// forgotten, and what was held of it, too. A look-up compares at most 16 tags of
// a keyed hash. The quota of one holder is an eighth of the table: eight have to
// conspire to fill it, for 5 s.
//
// # Goroutines
//
// A Table is guarded by one mutex, which is held for one fragment and for
// nothing else: fragments are few, or the sender has other problems. Any
// goroutine may call its methods. Time is an argument: nanoseconds of a
// monotonic clock.
package fragment
