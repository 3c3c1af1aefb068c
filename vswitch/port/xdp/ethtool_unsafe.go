package xdp

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolCall gives the kernel a request of linux/ethtool.h, which begins with
// its command; the answer comes in the same bytes.
func ethtoolCall(device string, request []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// struct ifreq: a name, and a pointer where other requests have other things.
	var ifreq struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(ifreq.name[:unix.IFNAMSIZ-1], device)
	// Sound: ifreq.data is a pointer, so request is neither moved nor freed
	// while the kernel writes to it; the kernel writes as much as the request,
	// whose counts its maker has set, says there is room for.
	ifreq.data = unsafe.Pointer(unsafe.SliceData(request))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq)))
	runtime.KeepAlive(request)
	if errno != 0 {
		return errno
	}
	return nil
}
