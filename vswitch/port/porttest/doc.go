// Package porttest is the contract of package port as a test: every driver
// runs it, with the same frames and the same accounts, so that the switch may
// forget which driver it speaks to.
//
// A driver's test opens its port and an End, the other side of the wire, and
// hands both over in a Rig. For ports in the kernel the End is a Socket, which
// is a workload as the kernel sees one: frames go through the device's own
// offloads, with the work left to do written before them.
//
// What Run holds a port to: frames cross unchanged in both directions at every
// size, in order, with headroom and without stale metadata; offloads arrive as
// the sender left them, or done; what is not sent has a reason of the tx
// stage; statistics are what happened; chunks are conserved; a port that is
// down, full, gone or closed says so and leaves nothing behind.
package porttest
