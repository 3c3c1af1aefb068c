// Package udp is uplinks that are a UDP socket of the host's: for hosts whose
// devices no AF_XDP program can have, and where the VTEP is to have the host's own
// address.
//
// # What the host does
//
// The host's stack carries the tunnels' packets. It knows the underlay's routes
// and neighbours, several next hops among them, and follows them as they change;
// it holds a packet while it asks for a neighbour, and it learns path MTUs. To the
// switch it is all one hop. Where there are several uplinks, it is the host's
// multipath routes that spread flows (fib_multipath_hash_policy, resilient groups
// of next hops).
//
// The walk knows Ethernet. So Recv writes before each datagram the headers that
// it came under, and Send reads whom a tunnel is for from those that the walk
// wrote: their MACs mean nothing (port.Caps.Routed).
//
// # Few calls, few walks of the stack
//
// Out, datagrams of one flow go as one (UDP_SEGMENT): the host's stack sees them
// once, and the device or the last moment cuts them. A superframe of TCP is cut
// here, since a socket takes no tunnel of superframes, into one such datagram or
// two. In, the stack joins what comes in a train (UDP_GRO), and one call brings
// several trains. One that a kernel's VXLAN sent over a virtual device comes uncut:
// a tunnel around a superframe. Its length tells; what it was to be cut into is
// not told for TCP, so it is cut anew, where that must be, to what the tunnel
// takes.
//
// # Source ports
//
// The underlay spreads by the outer source port, so there are Lanes sockets to
// send from, each with a port of its own from 49152 on (RFC 7348 5); a flow's hash
// picks one, the same one always.
//
// # Failing closed
//
// Nothing is taken from a workload: a daemon that dies leaves an uplink that
// nobody serves. The socket is of no device, and binds the VTEP's own address:
// who may send to it is the host's firewall's affair, and what is believed of it
// is the walk's.
//
// # Threads
//
// Recv is for the worker that owns the queue. Send takes a lock, because several
// workers may share a queue. Status and Stats may be called from any goroutine.
package udp
