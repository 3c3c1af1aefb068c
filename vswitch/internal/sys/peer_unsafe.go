package sys

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PeerGroups returns the supplementary groups that the process at the other
// end of a unix socket had when it connected (SO_PEERGROUPS): the kernel's
// word, whatever user database there is.
func PeerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 32)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		n := int(size / 4)
		switch {
		case errno == 0:
			return groups[:n], nil
		case errors.Is(errno, unix.ERANGE) && n > len(groups):
			groups = make([]uint32, n) // the kernel says how many there are
		default:
			return nil, fmt.Errorf("ask for the groups of a socket's peer: %w", errno)
		}
	}
}
