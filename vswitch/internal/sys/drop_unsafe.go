package sys

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lastCap is beyond any capability that a kernel may have: bounding sets end where
// the kernel says that there is no such capability (EINVAL).
const lastCap = 64

// DropPrivileges gives all capabilities of the process up, on every thread and for
// good: those it has, those it could get by executing another program, and with
// no_new_privs whatever a program's file might bring. With a uid other than -1 it
// becomes that user and group, alone, before. What came of it must be asked for by
// Unprivileged. It fails in a build with cgo, whose threads the runtime cannot
// reach.
func DropPrivileges(uid, gid int) error {
	for c := uintptr(0); c < lastCap; c++ {
		// Without CAP_SETPCAP the bounding set stays; no_new_privs makes it mean nothing.
		if err := onAllThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c); errors.Is(err, syscall.ENOTSUP) {
			return err
		} else if err != nil {
			break
		}
	}
	if err := becomeUser(uid, gid); err != nil {
		return err
	}
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return fmt.Errorf("give ambient capabilities up: %w", err)
	}
	if err := dropCaps(); err != nil {
		return err
	}
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return nil
}

// onAllThreads makes a system call on every thread of the process.
func onAllThreads(call, a, b uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(call, a, b, 0, 0, 0, 0)
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return fmt.Errorf("a build with cgo cannot change all of its threads: build with CGO_ENABLED=0, or run with --single-process: %w", errno)
	}
	return errno
}

func becomeUser(uid, gid int) error {
	if uid < 0 {
		return nil
	}
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return fmt.Errorf("give groups up: %w", err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return fmt.Errorf("become group %d: %w", gid, err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("become user %d: %w", uid, err)
	}
	return nil
}

// dropCaps empties the three sets of capabilities. The two structs live until every
// thread has made the call: the pointers are in this frame.
func dropCaps() error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{}
	if err := onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(none))); err != nil {
		return fmt.Errorf("give capabilities up: %w", err)
	}
	keepAlive(header, none)
	return nil
}
