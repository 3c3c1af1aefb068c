// Package conntrack is the session table: what is allowed already, in both
// directions, until it ends, falls silent or is revoked.
//
// # Layout
//
// A session is 128 bytes: a line that every packet reads (key, generation,
// rule, deadline, state), and a line of counters and TCP windows. Sessions lie
// in one array without pointers, so the garbage collector has nothing to scan
// (a map of a million pointers stops it for seconds). An index of 64-byte
// buckets, each of 8 tags and 8 slot numbers, finds them: a key has two
// buckets, so a look-up reads at most 16 tags in two lines, and then, nearly
// always, one session. Both directions are one session: the hash is symmetric
// and a session knows which end opened it.
//
// # Bounds
//
// The array is allocated once. A port may hold PortQuota sessions and
// EmbryonicQuota of those that the other end has not answered yet. When both
// buckets of a key are full, an unanswered session of the same port makes
// room, else the packet is refused: nobody's answered session is ever lost to
// a flood, and a flood of one port takes only from that port.
//
// # Time
//
// Time is an argument, in nanoseconds of any monotonic clock. A wheel of one
// second a notch holds each session at the notch at which it was last found
// alive; a packet only moves the deadline, and Expire, when the notch comes,
// puts the session further on. Expire looks at a bounded number at each call,
// so no sweep ever stops the switch. A session past its deadline is not found,
// whether or not Expire has come to it.
//
// # Legality
//
// TCP follows the states and windows of a stateful filter that takes no
// connection in the middle (tcp.go, window.go); only a SYN opens. An ICMP echo
// belongs to who asked. An ICMP error is matched to the session of the packet
// that it quotes, and changes nothing.
//
// A Table has one owner at a time; it takes no lock.
package conntrack
