package packet

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"bulkhead/dataplane/packet"
	"bulkhead/vswitch/port/vnet"
)

// ring is the receive ring of one socket (Documentation/networking/packet_mmap).
// A slot is the kernel's until it sets StatusUser, and then ours until we set it
// back:
//
//	 0              32         52                mac-10   mac
//	+--------------+----------+-----------------+--------+-------------+
//	| tpacket2_hdr | address  | room (reserve)  | vnet   | frame       |
//	+--------------+----------+-----------------+--------+-------------+
//
// The room is the frame's headroom: a frame is lent to the walk where it lies.
//
// Slots are pointed into by offsets that are inside the mapping by construction:
// i < slots, and mac and snaplen are checked against the slot before use.
type ring struct {
	mem  []byte
	next int  // the next slot to look at
	held int  // slots before next that are lent to the batch
	lost bool // next is not known: a process that has died read the ring (inherit.go)
	// doubt is how many slots from next on may be such as it has read already.
	doubt int
}

const (
	// RxRing is how many bytes a queue's ring has: 512 frames of 2 KiB.
	RxRing    = 1 << 20
	blockSize = 64 << 10 // what the kernel allocates in one piece
	// reserve makes the frame's headroom, with four bytes for a tag to come back.
	// The kernel adds the address's alignment.
	reserve = 112
	addrEnd = 52 // of a slot: the header and struct sockaddr_ll
	// slotSize holds a frame of an MTU of 1500 with two tags, and what the kernel
	// and we put before it. Slots for jumbo frames would be few; those are read as
	// superframes are.
	slotSize = 2 << 10
	slots    = RxRing / slotSize
)

// mapRing makes a socket's receive ring. The socket must not be bound yet.
func mapRing(fd int) (*ring, error) {
	req := unix.TpacketReq{Block_size: blockSize, Block_nr: RxRing / blockSize, Frame_size: slotSize, Frame_nr: slots}
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("receive ring of %d bytes: %w", RxRing, err)
	}
	return mapMemory(fd)
}

// mapMemory maps the ring that a socket has. Reading begins at its first slot, which
// is the kernel's next if nothing has been read of it yet.
func mapMemory(fd int) (*ring, error) {
	mem, err := unix.Mmap(fd, 0, RxRing, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map the receive ring: %w", err)
	}
	return &ring{mem: mem}, nil
}

func (r *ring) header(i int) *unix.Tpacket2Hdr {
	return (*unix.Tpacket2Hdr)(unsafe.Pointer(&r.mem[i*slotSize])) // slots are aligned as the mapping is
}

// peek returns the next slot that the kernel has filled, if it has. The load
// acquires: what the kernel wrote before the status is seen after it.
func (r *ring) peek() (h *unix.Tpacket2Hdr, slot []byte, filled bool) {
	if r.held == slots || r.lost && !r.find() || !r.filled(r.next) {
		return nil, nil, false
	}
	h = r.header(r.next)
	at := r.next * slotSize
	return h, r.mem[at : at+slotSize : at+slotSize], true
}

// filled tells whether a slot is ours.
func (r *ring) filled(i int) bool {
	return atomic.LoadUint32(&r.header(i).Status)&unix.TP_STATUS_USER != 0
}

// take goes on to the next slot; the one that was peeked at stays lent.
func (r *ring) take() {
	r.next = (r.next + 1) % slots
	r.held++
	r.doubt = max(0, r.doubt-1)
}

// giveBack returns all lent slots to the kernel: the batch is over. The store
// releases: what we wrote there is over before the kernel writes.
func (r *ring) giveBack() {
	for ; r.held > 0; r.held-- {
		i := (r.next - r.held + slots) % slots
		atomic.StoreUint32(&r.header(i).Status, unix.TP_STATUS_KERNEL)
	}
}

func (r *ring) close() error {
	if r.mem == nil {
		return nil
	}
	mem := r.mem
	r.mem = nil
	return unix.Munmap(mem)
}

// calls are the memory of a queue's system calls that take several buffers.
type calls struct {
	msgs [packet.BatchSize]mmsghdr
	iovs [packet.BatchSize][2]unix.Iovec
	head [packet.BatchSize][vnet.HeaderLen]byte
}

// mmsghdr is struct mmsghdr (sendmmsg(2)).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// put adds a frame as message i: its header in the headroom before it, so that
// one piece of memory takes both, or where there is none in two.
func (c *calls) put(i int, f *packet.Frame) {
	m, iov := &c.msgs[i], &c.iovs[i]
	m.hdr = unix.Msghdr{Iov: &iov[0]}
	if f.Start >= vnet.HeaderLen {
		b := f.Buf[f.Start-vnet.HeaderLen : f.End]
		vnet.Encode(b, &f.Offload)
		iov[0] = unix.Iovec{Base: &b[0], Len: uint64(len(b))}
		m.hdr.SetIovlen(1)
		return
	}
	b := f.Bytes()
	vnet.Encode(c.head[i][:], &f.Offload)
	iov[0] = unix.Iovec{Base: &c.head[i][0], Len: vnet.HeaderLen}
	iov[1] = unix.Iovec{Base: &b[0], Len: uint64(len(b))}
	m.hdr.SetIovlen(2)
}

// send gives messages from to n to the kernel, and returns how many it took.
// The socket does not block (MSG_DONTWAIT), so the scheduler is not told.
func (c *calls) send(fd, from, n int) (sent int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&c.msgs[from])), uintptr(n-from), unix.MSG_DONTWAIT, 0, 0)
	return int(r), errno
}

// forget drops the pointers to frames: their memory is not ours any more.
func (c *calls) forget(n int) {
	clear(c.msgs[:n])
	clear(c.iovs[:n])
}

// receive reads one frame with its header from the socket's queue; MSG_PEEK leaves it
// there.
func receive(fd int, b []byte, flags uintptr) (n int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT|flags, 0, 0)
	return int(r), errno
}
