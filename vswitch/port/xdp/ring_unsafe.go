package xdp

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is one of the four rings of a socket: entries of T, a producer and a
// consumer index that only grow, and flags. One side is ours, the other the
// kernel's; each writes its own index with a releasing store after the
// entries, and reads the other's with an acquiring load before them.
type ring[T any] struct {
	producer, consumer, flags *uint32
	entries                   []T
	mask                      uint32
	mem                       []byte
}

// mapRing maps a ring of n entries, a power of two, of the socket at its page
// offset.
func mapRing[T any](fd int, offset int64, o unix.XDPRingOffset, n uint32) (*ring[T], error) {
	var zero T
	size := int(o.Desc) + int(n)*int(unsafe.Sizeof(zero))
	mem, err := unix.Mmap(fd, offset, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map a ring of %d entries: %w", n, err)
	}
	// Sound: the kernel lays the ring out at these offsets of a mapping that
	// is page-aligned and as long as asked for; it stays until unmap.
	base := unsafe.Pointer(unsafe.SliceData(mem))
	return &ring[T]{
		producer: (*uint32)(unsafe.Add(base, o.Producer)),
		consumer: (*uint32)(unsafe.Add(base, o.Consumer)),
		flags:    (*uint32)(unsafe.Add(base, o.Flags)),
		entries:  unsafe.Slice((*T)(unsafe.Add(base, o.Desc)), n),
		mask:     n - 1,
		mem:      mem,
	}, nil
}

func (r *ring[T]) unmap() {
	if r != nil && r.mem != nil {
		_ = unix.Munmap(r.mem)
		r.mem = nil
	}
}

// space returns how many entries we, the producer, may add: none where the
// kernel says that it has consumed what there is not.
func (r *ring[T]) space() uint32 {
	used := *r.producer - atomic.LoadUint32(r.consumer)
	return r.mask + 1 - min(used, r.mask+1)
}

// put writes entry i of those to be added; submit adds them.
func (r *ring[T]) put(i uint32, v T) { r.entries[(*r.producer+i)&r.mask] = v }

// submit hands n entries to the kernel.
func (r *ring[T]) submit(n uint32) { atomic.StoreUint32(r.producer, *r.producer+n) }

// ready returns how many entries the kernel has added for us, the consumer. A
// count beyond the ring is the kernel's mistake, and is cut.
func (r *ring[T]) ready() uint32 {
	return min(atomic.LoadUint32(r.producer)-*r.consumer, r.mask+1)
}

// get reads entry i of those that are ready; release gives them back.
func (r *ring[T]) get(i uint32) T { return r.entries[(*r.consumer+i)&r.mask] }

// release gives n entries back to the kernel.
func (r *ring[T]) release(n uint32) { atomic.StoreUint32(r.consumer, *r.consumer+n) }

// needsWakeup tells whether the kernel waits to be called.
func (r *ring[T]) needsWakeup() bool {
	return atomic.LoadUint32(r.flags)&unix.XDP_RING_NEED_WAKEUP != 0
}

// setsockopt sets an option of AF_XDP from a struct.
func setsockopt[T any](fd, option int, value *T) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option), uintptr(unsafe.Pointer(value)), unsafe.Sizeof(*value), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// getsockopt reads an option of AF_XDP into a struct.
func getsockopt[T any](fd, option int, value *T) error {
	size := uint32(unsafe.Sizeof(*value))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option), uintptr(unsafe.Pointer(value)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// addressOf returns where the region lies, for registering it.
func addressOf(mem []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))) }

// kick calls the kernel to send what is in the transmit ring. The raw call
// does not tell the Go scheduler: with MSG_DONTWAIT it does not block.
func kick(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// kickFill calls the kernel to look at the fill ring.
func kickFill(fd int) {
	_, _, _ = unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
}
