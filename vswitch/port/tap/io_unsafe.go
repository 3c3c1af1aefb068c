package tap

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below go to the kernel without telling Go's scheduler
// (RawSyscall), which saves it the hand-over of its processor and back: 715
// instead of 770 ns for a small frame (BenchmarkSend), 283 instead of 314 ns
// for the read that finds nothing (BenchmarkReadNothing), nothing that can be
// seen in TCP superframes (BenchmarkTCP). That is right only for calls that
// never sleep: the descriptor is non-blocking, and a write to a TAP runs the
// receiver's stack in our own time at worst. The cost: a stop of the world
// waits until the call under way is over.
//
// Each pointer is to memory that the caller holds for the time of the call, is
// converted in the call's own argument list, as package unsafe demands of
// pointers for the kernel, and names no more bytes than the slice has.

// read reads one frame with its header. len(b) must not be zero.
func read(fd int, b []byte) (n int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(r), errno
}

// write writes one frame with its header before it. len(b) must not be zero.
func write(fd int, b []byte) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return errno
}

// writev writes one frame whose header lies elsewhere. Neither may be empty.
func writev(fd int, header, frame []byte) unix.Errno {
	iov := [2]unix.Iovec{
		{Base: &header[0], Len: uint64(len(header))},
		{Base: &frame[0], Len: uint64(len(frame))},
	}
	_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
	return errno
}
