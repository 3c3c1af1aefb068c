package xdp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"bulkhead/vswitch/port/netdev"
)

// A workload's port fails closed because its program outlives the process: the
// link is pinned in bpffs, and a pin lives as long as its file system. That is
// a question of who else has it mounted. `ip netns exec`, and a container
// without the host's, have a bpffs of their own, which goes with the last
// process in it: the pin and the program go, too, and the host's stack carries
// the workload's packets. So a port is opened only on a bpffs that the host's
// first process has as well.

const (
	bpfFS = "/sys/fs/bpf"
	// PinDir is where links are pinned.
	PinDir = bpfFS + "/bulkhead"
	// bpfMagic is bpffs' magic number (linux/magic.h).
	bpfMagic = 0xcafe4a11
)

// errPrivate says that a pin would not outlive us.
var errPrivate = errors.New(bpfFS + " is not the host's: the program that keeps the device shut would go when the switch dies, and the host would carry the workload's packets; " +
	"start the switch by nsenter --net=/run/netns/NAME instead of ip netns exec; in a container mount the host's (-v " + bpfFS + ":" + bpfFS + "); " +
	"in a systemd unit that has mounts of its own say RequiresMountsFor=" + bpfFS)

// pinPath is where the link of a device is pinned. Devices of two network
// namespaces may share a name and a number, and names may have dots, which
// bpffs does not take.
func pinPath(index int) (string, error) {
	var netns unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &netns); err != nil {
		return "", fmt.Errorf("which network namespace this is: %w", err)
	}
	return filepath.Join(PinDir, fmt.Sprintf("%d-%d", netns.Ino, index)), nil
}

// Forget removes the program that a switch which was killed has left on a
// workload's device, for a port of another driver. The link goes down first.
// Where there is none it does nothing.
func Forget(device string) error {
	dev, err := netlink.LinkByName(device)
	if err != nil {
		return nil // for the opening to report
	}
	path, err := pinPath(dev.Attrs().Index)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return nil // not ours
	}
	defer l.Close()
	if err := netdev.Down(dev.Attrs().Index); err != nil {
		return fmt.Errorf("remove an earlier switch's XDP program: %w", err)
	}
	if err := l.Unpin(); err != nil {
		return fmt.Errorf("remove an earlier switch's XDP program: %w", err)
	}
	return nil
}

// preparePins makes sure that links can be pinned, and, where a pin has to
// outlive us, that it will.
func preparePins(outlive bool) error {
	mounted, err := mountBPF(outlive)
	if err == nil && outlive {
		err = outlives()
	}
	if err == nil {
		if err = os.MkdirAll(PinDir, 0o700); err != nil {
			err = fmt.Errorf("pin directory: %w", err)
		}
	}
	switch {
	case err == nil:
		sweepPins()
	case mounted:
		_ = unix.Unmount(bpfFS, 0)
	}
	return err
}

// sweepPins removes the pins of devices that are gone: a switch that was
// killed could not.
func sweepPins() {
	pins, _ := filepath.Glob(PinDir + "/*")
	for _, path := range pins {
		l, err := link.LoadPinnedLink(path, nil)
		if err != nil {
			continue
		}
		if info, err := l.Info(); err == nil && info.XDP() != nil && info.XDP().Ifindex == 0 {
			_ = l.Unpin()
		}
		l.Close()
	}
}

// mountBPF mounts bpffs where there is none, and says whether it did.
func mountBPF(outlive bool) (mounted bool, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(bpfFS, &fs); err == nil && uint32(fs.Type) == bpfMagic {
		return false, nil
	}
	if outlive && !firstPIDs() {
		return false, errPrivate // a container's own
	}
	if err := unix.Mount("bpf", bpfFS, "bpf", 0, ""); err != nil {
		return false, fmt.Errorf("mount bpffs at %s: %w", bpfFS, err)
	}
	return true, nil
}

// outlives refuses a bpffs that the host's first process has not. In a container
// that process cannot be seen; there, a bpffs that we found has been mounted
// from the host, for no container's runtime makes one.
func outlives() error {
	if !firstPIDs() {
		return nil
	}
	var at unix.Stat_t
	if err := unix.Stat(bpfFS, &at); err != nil {
		return fmt.Errorf("look at %s: %w", bpfFS, err)
	}
	mounts, err := os.Open("/proc/1/mountinfo")
	if err != nil {
		return fmt.Errorf("see whether %s outlives the switch: %w", bpfFS, err)
	}
	defer mounts.Close()
	if !hasMounted(mounts, at.Dev) {
		return errPrivate
	}
	return nil
}

// firstPIDs tells whether process 1 is the host's: whether we are in the first
// of all PID namespaces (PROC_PID_INIT_INO of linux/proc_ns.h).
func firstPIDs() bool {
	var ns unix.Stat_t
	return unix.Stat("/proc/self/ns/pid", &ns) == nil && ns.Ino == 0xeffffffc
}

// hasMounted tells whether a mountinfo (proc_pid_mountinfo(5)) has a bpffs of
// that device number.
func hasMounted(mountinfo io.Reader, dev uint64) bool {
	want := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	for lines := bufio.NewScanner(mountinfo); lines.Scan(); {
		mount, kind, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		if len(fields) > 2 && fields[2] == want && strings.HasPrefix(kind, "bpf ") {
			return true
		}
	}
	return false
}
