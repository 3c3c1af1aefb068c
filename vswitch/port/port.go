// Package port is the contract between the switch and the devices that its
// frames come from and go to.
//
// Opening a port is privileged and slow and happens once, in a driver's own
// Open function, which returns a Port whose link is still down. Running it is
// neither: a worker owns one Queue of each port and calls Recv and Send on it
// in turn, from one goroutine, without locks.
//
// # Who owns a frame's memory
//
// Recv lends frames to the worker until the batch ends. A frame lies either in
// memory of the driver's, valid until the worker's next Recv on any queue (Loans),
// or in a chunk of the shared Region (packet.Frame.Chunk is not zero). Send may keep a
// chunk (an AF_XDP transmit ring does) by setting Frame.Chunk to zero; it never
// keeps other memory, but copies. When the batch has been sent the worker puts
// every chunk that is still named by a frame back into its Pool.
//
// # Accounts
//
// A frame given to Send is sent, or Send gives it a drop.Reason of the tx
// stage. Frames that a driver itself loses on receive are in Stats by reason.
// Nothing is lost without a count.
package port

import (
	"errors"

	"bulkhead/dataplane/drop"
	"bulkhead/dataplane/packet"
)

// ErrGone says that the device under a port no longer exists. Recv returns it
// (wrapped) once the port can never work again; the switch then closes it, and
// opens it again when that can be done.
var ErrGone = errors.New("device is gone")

// Caps is what a port's Send takes without help.
type Caps struct {
	// TSO, USO: superframes of TCP, of UDP, v4 and v6, uncut.
	TSO, USO bool
	// TunnelGSO: superframes inside VXLAN, uncut.
	TunnelGSO bool
	// PartialChecksum: frames whose transport checksum is partial.
	PartialChecksum bool
	// Routed: the host's stack finds the next hop. The MACs of outer frames mean
	// nothing, and no neighbour is asked for.
	Routed bool
	// MaxFrame is the longest frame, Ethernet header included, in bytes; for a
	// superframe it bounds the segments.
	MaxFrame int
}

// Info describes an open port. It does not change while the port is open,
// but for what Status returns.
type Info struct {
	Name   string // the port's name in the switch
	Driver string // mem, pcap, tap, xdp, packet, udp, erspan
	Device string // the kernel's device name, or a file's
	Netns  string // where the workload's end lives; empty: this namespace
	MAC    packet.MAC
	MTU    int    // bytes of IP a frame may carry
	Mode   string // how the driver runs, e.g. "multi-queue, tso4 tso6 uso", "native, copy"
	// Inherited: a process that has died ran the port before, and what has come in
	// since then still waits in its queues.
	Inherited bool
	Caps      Caps
}

// Status is what changes while a port is open.
type Status struct {
	Up   bool   // the link is up
	Gone bool   // the device is no more: the port can never work again
	Err  string // why it is not up, or what is wrong with it
}

// Stats is what a port's queues counted, summed, since it was opened.
type Stats struct {
	RxFrames, RxBytes uint64 // a superframe is one frame
	TxFrames, TxBytes uint64
	Drops             [drop.Count]uint64 // of the rx and tx stages
	// Extra has driver-specific counters, e.g. the six of XDP_STATISTICS and
	// the kicks sent. Fresh at each call; never on the path.
	Extra map[string]uint64
}

// Port is an open port.
type Port interface {
	Info() Info
	// Up sets the link up, in the workload's namespace too. The switch calls
	// it only after the snapshot that guards the port is live.
	Up() error
	// Queues returns the port's queues, at least one. Queue i is received from
	// by worker i modulo the number of workers; worker i sends by queue i
	// modulo the number of queues.
	Queues() []Queue
	// Status and Stats may be called from any goroutine.
	Status() Status
	Stats() Stats
	// Chunks is how many chunks of the Region the port keeps, in rings of its own.
	// It may be called from any goroutine; it is exact while no queue is used.
	Chunks() int
	// Close removes everything Open made: device, pin, addresses. The workers
	// must have let go of the queues.
	Close() error
}

// Queue is one receive and transmit path of a port. Recv is called by the one
// worker that owns it. Send may be called by several workers when a port has
// fewer queues than there are workers; a driver guards it for that case.
type Queue interface {
	// Recv adds what has arrived, at most b.Room() frames, and does not
	// block. Each frame has packet.Headroom bytes before it. An error other
	// than ErrGone is for the log: the port goes on.
	Recv(b *packet.Batch) error
	// Send gives out frames, in order, and sets Reason on those it could not.
	// It does not block, and it does not call the kernel more often than a
	// batch needs. The frames' Egress is this port.
	Send(frames []*packet.Frame)
	// FD is what a sleeping worker polls for readability; -1 if there is none.
	// Recv is called twice a second without it, too.
	FD() int
}
