package sys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Duplicate returns one more descriptor of the same file, which a program that is
// executed does not get.
func Duplicate(fd int) (int, error) {
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("duplicate descriptor %d: %w", fd, err)
	}
	return again, nil
}
