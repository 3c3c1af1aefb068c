// Package nat translates addresses at the edge of a VRF: who inside speaks to
// the outside does so from an address of a pool, and what the outside sends to
// an address that is published is for the endpoint behind it. IPv4 and IPv6
// are one path; there is no translation between the two.
//
// # The problem
//
// Translation gives a flow two names: the inside one, which the policy, the
// routes and the sessions mean, and the outside one, which comes back on the
// wire. A session table that is asked by either needs two entries a session,
// and both directions of a flow no longer have one hash.
//
// # The idea
//
// Only the edge knows outside names. A packet that comes to an outside address
// is given its inside name first, before anybody asks who it is from or for;
// a packet that leaves is given its outside name last, when it has been judged
// and routed. All between, the session table with its symmetric hash among it,
// sees inside names alone. What ties the two is a mapping, in a table of its
// own: one inside end, one outside end, of one protocol. It is found by its
// inside end when a session opens, by its outside end when a packet comes in,
// and by its number, which the session keeps as its tag, at every packet that
// leaves: that one needs no look-up.
//
// A mapping lives while a session has it as its tag. The session table says
// when that ends ([Table.Release]); so there is no second set of timers.
//
// # What it is, in the words of RFC 4787, RFC 5382 and RFC 5508
//
//   - Mapping is endpoint-independent: one inside end has one outside end,
//     whoever it speaks to, as long as it speaks (RFC 4787 REQ-1).
//   - Filtering is address and port dependent, unless the policy allows the
//     outside to open connections: then it is what the policy says (REQ-8).
//   - Pooling is paired: an inside address has one address of the pool (REQ-2).
//   - No port is overloaded: an outside end has one inside end (REQ-3). Ports
//     are drawn, not preserved: who sees one cannot tell the next (RFC 6056
//     3.3.2). Parity is not kept (REQ-4), and there is no ALG (REQ-10).
//   - A UDP or ICMP mapping lingers for two minutes after its last session
//     (REQ-5; RFC 5508 REQ-2 has one). A TCP mapping does not: an open connection
//     may be silent for 2 h 4 min (RFC 5382 REQ-5), a half-open one for 30 s, not
//     the 4 min there, because half-open ones are what floods are made of.
//   - What comes in refreshes nothing that the policy has not let in (REQ-6).
//   - Hairpinning works (REQ-9), but the packet is seen to come from the inside
//     end: the switch sees both directions, and the policy and the receiver's log
//     see who it is.
//   - ICMP errors are translated with the packet that they quote, and change
//     nothing (REQ-11, RFC 5508 REQ-3 to 5).
//   - TCP, UDP, ICMP echo and timestamp are translated, nothing else, and no
//     fragments: only the first one has the ports.
//
// # Bounds and fairness
//
// The table has a fixed number of mappings and nothing grows. A mapping is
// charged to the port, or the peer, that its first packet came in by, which may
// hold so many of them. At its bound it loses its own oldest lingering one to
// the new one, never anybody else's; if it has none, the packet is dropped
// (nat-quota). A free port of the pool is sought at most 128 times, in a
// permutation that begins anew for each: of a range of up to 128 ports a free
// one is always found, of a larger one that is nine tenths full it is missed
// once in 700,000. Then, and when the table is full, the packet is dropped
// (nat-full).
//
// # Goroutines
//
// [Rules] never change. A [Table] is shared by all workers: its lock is held
// when a session opens or ends and when a packet comes in from outside. It
// calls nobody, so it may be taken while a session's shard is locked.
package nat
