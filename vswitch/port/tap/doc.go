// Package tap is the port for containers: a TAP device that lives in the
// workload's network namespace while the switch holds its other end, a file
// descriptor.
//
// # Why a TAP
//
// The kernel gives us TCP and UDP superframes of up to 64 KiB with the work
// left to do written before them (struct virtio_net_hdr), and takes them the
// same way. So a stream is judged and switched once per 50 KiB or so, nobody
// sums or segments it between two containers, and the two system calls a
// frame are spread over forty packets.
//
// # How a device comes to be
//
//	water    creates it under a passing name, multi-queue and persistent, and
//	         lets go of it: VNET_HDR is only taken by a device's first queue,
//	         and water does not know the flag
//	attach   our own queues, with IFF_VNET_HDR; persistence ends here
//	offload  checksum, TSO, USO as far as the kernel knows them
//	move     into the namespace, where it gets its name, MAC, MTU, addresses
//	Up       link up, then routes, which the kernel refuses on a link that is
//	         down
//
// Until Up the link is down and carries nothing. Anything that fails undoes
// all before it. The device lives as long as its descriptors: Close, a crash
// and kill -9 all remove it with its addresses and routes, so a workload
// without a switch has no network rather than another one. (A kill in the
// microseconds between water's close and the end of persistence leaves a
// device named bh..., down and without addresses, in the switch's namespace.)
//
// The descriptor is the whole of the device's end on our side: no second
// interface exists here that the host's stack could talk through. With
// Config.Netns empty the device stays in the switch's namespace, with IPv6
// switched off unless an IPv6 address was asked for.
//
// # What it does not do
//
// It holds no descriptor of the namespace, which would keep it alive after its
// workload. When the namespace or the device goes, every queue becomes
// readable and Recv returns port.ErrGone.
//
// # A call a frame
//
// A TAP has no call for several frames: readv and writev take one in pieces, and
// only io_uring could save the way into the kernel. There is little to save: an
// empty call takes a sixth of what a frame of 60 bytes does (0.10-0.26 in eight runs
// of BenchmarkEmptyCall beside BenchmarkSend), the rest is the workload's stack; and
// a ring has a cost of its own for each entry. A superframe spreads its call over
// forty packets. So frames are read and written one by one.
//
// # Who may call
//
// Recv from the queue's one worker. Send, Status and Stats from any goroutine:
// Send keeps no state but counters, and the kernel takes a frame at a time.
// Opening needs CAP_NET_ADMIN, and CAP_SYS_ADMIN to enter a namespace;
// afterwards Recv, Send, Status and Close need none. The package starts no
// goroutine.
package tap
