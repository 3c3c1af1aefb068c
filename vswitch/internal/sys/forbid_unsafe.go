package sys

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidden are calls that the switch has no use for once it has no privileges, and
// whoever has taken it over would: to run another program, to look into another
// process, to have the kernel run code, to change where things are mounted or which
// namespace it is in, and doors to the kernel that have often been found open.
var forbidden = []uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSCONFIG,
	unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_SETNS, unix.SYS_UNSHARE,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_PERSONALITY, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT,
}

// Where things are in struct seccomp_data (linux/seccomp.h).
const (
	atNumber   = 0
	atArch     = 4
	atThirdArg = 16 + 2*8 // its low word: both processors that we build for are little-endian
)

// x32 is the bit of the calls of another ABI for amd64, which have numbers of their own.
const x32 = 0x4000_0000

// Forbid has the process end, with SIGSYS, when one of its threads makes a call that
// is forbidden, one by another ABI's number, or makes memory that can be run. It is for
// good, and for every thread. It needs no_new_privs, or CAP_SYS_ADMIN.
//
// It is a list of what is forbidden and not of what is allowed: Go's runtime decides
// which calls it makes, and a new one would end a switch that does nothing wrong.
func Forbid() error {
	program := filter()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return fmt.Errorf("forbid system calls (seccomp): %w; the kernel needs CONFIG_SECCOMP_FILTER", errno)
	}
	return nil
}

// filter is the program. Each check that fails jumps to the last instruction but one.
func filter() []unix.SockFilter {
	const load, equal, atLeast, anyBit = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ, unix.BPF_JMP | unix.BPF_JGE, unix.BPF_JMP | unix.BPF_JSET
	kill := unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_KILL_PROCESS}
	p := []unix.SockFilter{
		{Code: load, K: atArch}, {Code: equal, K: arch, Jt: 1}, kill,
		{Code: load, K: atNumber}, {Code: atLeast, K: x32, Jf: 1}, kill,
	}
	for _, call := range forbidden {
		p = append(p, unix.SockFilter{Code: equal, K: call, Jf: 1}, kill)
	}
	return append(p,
		unix.SockFilter{Code: equal, K: unix.SYS_MMAP, Jt: 2},
		unix.SockFilter{Code: equal, K: unix.SYS_MPROTECT, Jt: 1},
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: load, K: atThirdArg}, unix.SockFilter{Code: anyBit, K: unix.PROT_EXEC, Jf: 1}, kill,
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
	)
}
