// Package xdp is AF_XDP ports: frames of a device, past the host's stack,
// through rings shared with the kernel.
//
// # Memory
//
// Every socket registers the one frame region of the switch, so a frame moves
// from one AF_XDP port to another as a number. A chunk is in one place at any
// time: a pool, this socket's fill or receive ring (the kernel's), its transmit
// or completion ring, or a batch. What the kernel hands back is believed only
// if it names a chunk that was given to it, once, and bytes inside that chunk:
// drivers have handed out stale descriptors before.
//
// A frame longer than a chunk comes and goes in pieces (long.go): that is asked
// for where the port's MTU calls for it. Superframes do not come: in native mode
// a veth's sender makes none, and in generic mode the word of how to cut them
// is lost on the way, so that they are dropped (rx-oversize) and TCP crawls.
// Take native mode, or a TAP.
//
// # Whose frames
//
// A workload's device is the switch's alone. An uplink is shared with the host:
// of it the switch takes the tunnel's packets for its VTEP and what resolves
// the VTEP's address, and the rest passes to the host (Filter says which).
//
// # Failing closed
//
// The program redirects a frame that is the switch's to the socket of its queue,
// and where there is none it drops: XDP_DROP is the fallback of the redirect.
// The link that attaches it is pinned in bpffs, so it outlives the process: a
// plain link would go with it, and the host's kernel would route the
// workload's packets. A workload's port is not opened where bpffs itself would
// go with the process (pin.go). The next start takes the pinned link over and changes
// its program in place, so there is no moment without one.
//
// # The device
//
// Open has the device leave VLAN tags in the frames (a tag taken off before XDP
// is gone, and a frame of one VLAN looks like another's) and hear frames for
// others: a workload's all of them, an uplink's those to the group at which
// neighbours ask for an IPv6 VTEP. On a veth the tag is the sender's to leave
// beside the frame, by its own tx-vlan-offload, and XDP does not see it; such a
// frame is judged as one without.
//
// The host's end of a veth speaks by itself (MLD, DAD, router solicitations):
// it is told not to before its link goes up.
//
// # Checksums
//
// A sender on a veth leaves its checksums to a device that is not there, and
// AF_XDP has no word for that. Recv says of each frame that it may be so; the
// walk's parser finds out by what such a field holds, the folded pseudo-header
// sum, in a tunnel and inside it; Send finishes them. So TCP works through
// veths as they are. A device could be asked to finish them instead
// (XDP_TX_METADATA); the drivers at hand, veth and virtio_net, do not offer it
// (xsk-features of the kernel's netdev family), and where frames are copied the
// kernel would sum in our place. So nothing here asks.
//
// # Threads
//
// Recv is for the worker that owns the queue. Send takes a lock, because
// several workers may share a queue. The rings' indices are shared with the
// kernel by acquiring loads and releasing stores (sync/atomic). One goroutine for
// all ports watches their devices (netdev.Watch).
package xdp
