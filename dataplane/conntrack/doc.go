// Package conntrack is the session table: what has been allowed, in both
// directions, until it ends, falls silent or is revoked.
//
// # Layout
//
// A [Session] is 128 bytes without pointers, so the garbage collector has
// nothing to scan (a map of three million pointers stops it for seconds): one
// cache line that every packet reads (key, generation, rule, deadline, state),
// one of TCP windows and counters. Sessions lie in one array of fixed size.
// Package hashtab's index finds them: two buckets a key, eight tags each, so a
// look-up compares at most 16 tags and reads, nearly always, one session. Both
// directions are one session; the hash is the same for both, and the session
// knows which end opened it. A third array holds the links of the timing wheel
// and of the unanswered sessions of each port. All told a session costs 160
// bytes: one million, 153 MiB. What is to end with a session is its tag (tag.go):
// four bytes more, where there may be any.
//
// # Bounds and fairness
//
// Nothing grows. A session is charged to the port its first packet came in by,
// and a port may hold so many sessions, and so many that are embryonic: not
// answered yet by the other end. A port at either bound, or one that meets a
// full table or two full buckets, loses the oldest of its own embryonic
// sessions to the new one; if it has none, the packet is dropped
// (session-quota, session-full). So a flood of SYNs eats its own tail: it never
// costs another port a session, nor anybody an answered one. Quotas that add
// up to no more than the table keep a port from filling it for the others.
//
// # Legality
//
// TCP follows the state table and the window check of Linux nf_conntrack with
// tcp_loose=0 and tcp_be_liberal=0 (tcp.go, window.go): only a clean SYN
// opens, nothing is picked up in mid-stream unless who calls knows why (PickUp), a RST must be in the window and
// closes only at the sequence number that the other end expects (RFC 5961 3).
// It is stricter in one place: SYN with URG is illegal. SACK blocks are not
// read. Superframes need nothing special: a segment is as long as it is.
//
// An ICMP echo request or timestamp request belongs to who sent it: a request
// from the other end with the same identifier is refused while the session
// lives, because policy has not judged it. An ICMP error is matched to the
// session of the packet that it quotes, and changes nothing (RFC 5927).
//
// All other protocols are two-way traffic: unanswered, then answered.
//
// # Time
//
// Time is an argument: nanoseconds of a monotonic clock. Inside it is counted
// in ticks of 2^27 ns (134 ms). A packet that refreshes its session writes the
// deadline, once a tick. A wheel of 1024 ticks holds each session where it is
// to be looked at next; [Table.Expire] turns it, looks at a bounded number, and
// puts back who is alive (with a timeout of two hours, once in 137 s). A
// session past its deadline is not found, whether or not Expire has come to it;
// it lives at least its timeout and at most two ticks more.
//
// # Goroutines
//
// A Table has one owner at a time: a worker, or whoever holds the lock of its
// shard. It takes no lock itself. A *Session is good until the next call of
// any method of its Table.
package conntrack
