// Package packet is ports on devices that are there already, by packet sockets:
// the host's end of a container's veth, on a kernel or in a place that has no
// AF_XDP for it, or where TCP counts more than small frames.
//
// # Why a packet socket
//
// With PACKET_VNET_HDR it passes superframes as a TAP does, with the work left to
// do written before them. So TCP between two veths crosses the switch in pieces
// of up to 64 KiB, which AF_XDP on a veth cannot do (its sender makes none), and
// nobody has to move a TAP into the container.
//
// # Failing closed
//
// A packet socket is given a copy: the kernel goes on to do with the frame what
// it would have done without. So what makes the port a switch's is not the
// socket but the guard (guard.go): two filters of the kernel's own, at the
// device's ways in and out, that drop everything. On the way in they stand
// behind the packet socket and before the stack, on the way out the socket goes
// past them (PACKET_QDISC_BYPASS). They are the kernel's, not the process's:
// after kill -9 they are still there, the switch is not, and nothing passes.
//
//	workload ── veth ── packet socket ── switch
//	                └─ filter: drop ─ (host's stack)
//
// Open sets the guard before it takes the link down, and leaves a killed switch's
// as it is, so that there is no moment in which the device is up and unguarded.
// Close takes it down before the guard goes.
//
// The guard holds only where it comes first. A device with somebody's XDP or tcx
// program, which would have its frames before, is refused, and so is a member of
// a bridge or bond, which would lose what it sends. The kernel tells of changes of
// filters and membership: whoever makes one shuts the port, link down, until the
// guard can be set again. Of programs that are attached by a bpf_link it does not
// tell: Status looks, which the switch asks for once a second.
//
// # Memory
//
// Frames come in a ring shared with the kernel (TPACKET_V2), a slot of 2 KiB each:
// no call for a frame, no copy but the kernel's. What is longer, superframes and
// jumbo frames, the kernel leaves whole in the socket's queue as well
// (PACKET_COPY_THRESH), from where it is read by a call of its own, as from a TAP.
// That costs a superframe the copy of one slot, and saves a ring of slots of 64
// KiB: the ring has 1 MiB (RxRing).
// TPACKET_V3 would hand over its frames by the block, a millisecond late.
//
// Frames go out by sendmmsg, a call a batch; the kernel copies them. Its transmit
// ring would be filled by a copy of ours instead.
//
// # VLAN tags
//
// The kernel takes a tag off and keeps it beside the frame. Recv puts it back, so
// that the walk sees what was sent.
//
// # Threads
//
// Recv is for the worker that owns the queue. Send takes a lock, because several
// workers may share a queue. Status and Stats may be called from any goroutine.
// One goroutine for all ports watches their devices (netdev.Watch).
package packet
