// Package erspan is ports that lead to a collector elsewhere: what a mirror shows
// there goes as GRE in IPv4 or IPv6, by the host's stack.
//
// The walk has written the GRE and ERSPAN headers (dataplane/erspan); the host's
// stack puts its IP header before them, with the host's address, and finds the way:
// routes, next hops and neighbours are its own, and so is the firewall that guards
// them. What is longer than the way's MTU the host fragments, which a mirror's length
// is there to avoid.
//
// Nothing comes in by such a port. The kernel gives a raw socket every packet of its
// protocol; a filter on it takes none, so that no GRE of the host's is copied for us.
//
// A full socket, or a way that is not there, loses the frame: Send never waits. It is
// one system call a frame, which the mirrors' rates bound.
//
// # Threads
//
// Any worker may Send, and anybody call Status and Stats, at any time until Close.
package erspan
