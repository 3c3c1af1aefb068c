package traffic

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sendmmsg(2), which x/sys does not have. Like C's it
// ends at a multiple of a pointer's size.
type mmsghdr struct {
	header unix.Msghdr
	sent   uint32
}

// generator sends frames as they are over a packet socket, many at a system
// call, past the queueing discipline (packet(7), PACKET_QDISC_BYPASS). Each
// frame is one linear buffer in the kernel, as a small packet of any socket is.
type generator struct {
	fd       int
	frames   [][]byte
	iovecs   []unix.Iovec
	messages []mmsghdr
}

// newGenerator makes messages of frames, for a socket that is bound to a device.
func newGenerator(fd int, frames [][]byte) *generator {
	g := &generator{fd: fd, frames: frames, iovecs: make([]unix.Iovec, len(frames)), messages: make([]mmsghdr, len(frames))}
	for i, f := range frames {
		g.iovecs[i].Base = &f[0]
		g.iovecs[i].SetLen(len(f))
		g.messages[i].header.Iov = &g.iovecs[i]
		g.messages[i].header.SetIovlen(1)
	}
	return g
}

// send gives the kernel the frames from one to another, hi excluded, and
// returns how many it took.
//
// The pointer is sound: it is of a slice that is not empty and that lives in g,
// as do the vectors and frames that it points to; the kernel keeps none of them
// after the call.
func (g *generator) send(lo, hi int) (int, error) {
	if lo >= hi {
		return 0, nil
	}
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(g.fd), uintptr(unsafe.Pointer(&g.messages[lo])), uintptr(len(g.messages[lo:hi])), 0, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("sendmmsg on a packet socket: %w", errno)
	}
	return int(n), nil
}
